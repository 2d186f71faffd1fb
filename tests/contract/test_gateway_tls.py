"""TLS between a router and its gateway, with real certificates: what is trusted, and what is said of what is not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cloud.client import CloudClient
from cloud.config import CloudSettings
from cloud.keys import check_guarded
from cloud.tls import channel_credentials, read_pair
from edgewise.accounts import Account
from edgewise.errors import CloudUnavailable, DeadlineExceeded, NotReady
from tests.certificates import Authority, Files
from tests.clouds import run
from tests.gateways import Served, answer, new_key, serving, standing
from tests.upstream import Upstream


class Party:
    """A gateway with a certificate, and those who come to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.authority = Authority(place / "certificates")
        self.strangers = Authority(place / "strangers", "strangers")
        self.gateway = self.authority.signs("gateway")
        self.router = self.authority.signs("router")
        (place / "recorded.jsonl").write_text('{"prompt": "p", "answer": "a"}\n')

    def settings(self, files: Files | None, **changes: object) -> CloudSettings:
        shown = {"tls_cert_file": files.certificate, "tls_key_file": files.key} if files else {}
        backend = {"backend": "replay", "replay_file": self.place / "recorded.jsonl"}
        return CloudSettings.model_validate({**backend, **shown, **changes})

    def client(self, address: str, authority: Authority | None = None, shows: Files | None = None) -> CloudClient:
        of_client = {"client_cert_file": shows.certificate, "client_key_file": shows.key} if shows else {}
        file = {"ca_file": authority.file} if authority else {}
        return CloudClient.to(CloudSettings.model_validate({"address": address, **file, **of_client}))

    @asynccontextmanager
    async def serving(self, files: Files | None, **changes: object) -> AsyncGenerator[Served]:
        async with serving(self.settings(files, **changes), self.place) as served:
            yield served


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Party:
    return Party(tmp_path_factory.mktemp("party"))


async def asked(client: CloudClient) -> str:
    """Empty for an answer, else what the router is told."""
    try:
        await client.status()
    except CloudUnavailable as error:
        return error.message
    else:
        return ""
    finally:
        await client.close()


def test_a_router_and_a_gateway_that_trust_each_other(certificates: Party) -> None:
    party = certificates

    async def main() -> None:
        async with party.serving(party.gateway, client_ca_file=party.authority.file) as served:
            for host in ("127.0.0.1", "localhost"):
                address = f"https://{host}:{served.address.rpartition(':')[2]}"
                assert await asked(party.client(address, party.authority, party.router)) == ""

    run(main)


def test_a_key_a_certificate_and_a_deadline(certificates: Party, tmp_path: Path) -> None:
    """All of it at once, and the deadline reaches the upstream."""
    party = certificates

    async def main(upstream: Upstream) -> None:
        token = await new_key(tmp_path, Account(name="zoe", budget_usd=1.0))
        prices = {"usd_per_mtok_prompt": 1.0, "usd_per_mtok_completion": 10.0}
        asked = {"backend": "openai_compatible", "base_url": upstream.url, "model": "hang", **prices}
        settings = party.settings(party.gateway, client_ca_file=party.authority.file, **asked)
        async with serving(settings, tmp_path) as served:
            shows = {"client_cert_file": party.router.certificate, "client_key_file": party.router.key}
            there = CloudSettings.model_validate(
                {"address": f"https://{served.address}", "ca_file": party.authority.file, **shows}
            )
            for key, error in (("ew_unknown", CloudUnavailable), (token, DeadlineExceeded)):
                client = CloudClient(there.address, key, credentials=channel_credentials(there), timeout_s=0.5)
                with pytest.raises(error):
                    await answer(client)
                await client.close()
            assert await asyncio.to_thread(upstream.released.wait, 10)
        assert len(upstream.requests) == 1
        found = await standing(tmp_path, "zoe")
        assert (found.calls, found.unbilled, found.reserved_usd) == (1, 1, 0)

    with Upstream() as upstream:
        run(lambda: main(upstream))


def test_what_is_not_trusted_is_said(certificates: Party) -> None:
    party = certificates
    elsewhere = party.authority.signs("elsewhere", hosts=("gateway.example",))

    async def main() -> None:
        async with party.serving(party.gateway) as served:
            there = f"https://{served.address}"
            assert "set cloud.ca_file" in await asked(party.client(there, party.strangers))
            assert "set cloud.ca_file" in await asked(party.client(there))
            assert "TLS (https:// in cloud.address)" in await asked(party.client(served.address))
        async with party.serving(elsewhere) as served:
            assert "another name" in await asked(party.client(f"https://{served.address}", party.authority))
        async with party.serving(None) as served:
            assert "has no TLS" in await asked(party.client(f"https://{served.address}", party.authority))
        async with party.serving(party.gateway, client_ca_file=party.authority.file) as served:
            for shows in (None, party.strangers.signs("router")):
                said = await asked(party.client(f"https://{served.address}", party.authority, shows))
                assert "cloud.client_cert_file" in said

    run(main)


def test_a_certificate_is_tried_before_anybody_comes(certificates: Party, tmp_path: Path) -> None:
    good, expired = certificates.gateway, certificates.authority.signs("expired", days=-1)
    empty = tmp_path / "empty"
    empty.touch()
    for files, said in (
        (expired, "expired; renew it"),
        (Files(good.certificate, certificates.router.key), "KEY_VALUES_MISMATCH"),
        (Files(good.key, good.key), "as PEM"),
        (Files(empty, good.key), "as PEM"),
        (Files(tmp_path / "none", good.key), "cannot be read"),
    ):
        with pytest.raises(NotReady, match=r"cloud\.tls_cert_file: .*" + said):
            read_pair(files.certificate, files.key, "cloud.tls_cert_file")

    async def main() -> None:
        with pytest.raises(NotReady, match=r"cloud\.client_ca_file: .*no certificates"):
            async with certificates.serving(good, client_ca_file=good.key):
                pass
        with pytest.raises(NotReady, match=r"cloud\.client_cert_file"):
            certificates.client("https://127.0.0.1:1", certificates.authority, expired)

    run(main)


def test_a_renewed_certificate_is_shown_without_a_restart(certificates: Party, tmp_path: Path) -> None:
    party = certificates
    files = Files(tmp_path / "gateway.crt", tmp_path / "gateway.key")

    def put(new: Files) -> None:
        shutil.copy(new.certificate, files.certificate)
        shutil.copy(new.key, files.key)

    put(party.gateway)

    async def main() -> None:
        async with party.serving(files) as served:
            there = f"https://{served.address}"
            assert await asked(party.client(there, party.authority)) == ""
            files.certificate.write_text("half a certif")  # as a careless renewal leaves it for a moment
            assert await asked(party.client(there, party.authority)) == ""
            put(party.strangers.signs("renewed"))
            for _ in range(100):
                if await asked(party.client(there, party.strangers)) == "":
                    break
                await asyncio.sleep(0.05)
            assert await asked(party.client(there, party.strangers)) == ""
            assert "set cloud.ca_file" in await asked(party.client(there, party.authority))

    run(main)


def test_other_machines_come_with_a_key_and_over_tls_or_not_at_all(certificates: Party, tmp_path: Path) -> None:
    refusals = {
        (True, False, False): "tls_cert_file",
        (False, False, True): "keys add",
        (False, False, False): "keys add",
    }
    for address in ("0.0.0.0:0", "[::]:0", "gateway.example:1"):
        for (has_keys, has_token, has_tls), said in refusals.items():
            with pytest.raises(NotReady, match=said):
                check_guarded(address, has_keys=has_keys, has_token=has_token, has_tls=has_tls, plaintext=False)
        check_guarded(address, has_keys=True, has_token=False, has_tls=True, plaintext=False)
        check_guarded(address, has_keys=False, has_token=True, has_tls=False, plaintext=True)
    with pytest.raises(NotReady, match="HOST:PORT"):
        check_guarded("nonsense", has_keys=True, has_token=False, has_tls=True, plaintext=False)
    for address in ("127.0.0.1:0", "localhost:0", "[::1]:0", "unix:/tmp/x"):
        check_guarded(address, has_keys=False, has_token=False, has_tls=False, plaintext=False)

    async def main() -> None:
        await new_key(tmp_path, Account(name="zoe"))
        with pytest.raises(NotReady, match="tls_cert_file"):
            async with serving(certificates.settings(None), tmp_path, "0.0.0.0:0"):
                pass
        for address in ("gateway.example:443", "192.0.2.1:50052"):
            with pytest.raises(NotReady, match=f"https://{address}"):
                CloudClient.to(CloudSettings(address=address))
            await CloudClient.to(CloudSettings(address=address, plaintext=True)).close()

    run(main)
