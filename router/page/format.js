// How numbers are written for people, as in the report of `edgewise compare`. What is unknown is never written as 0.

export const UNKNOWN = "unknown";

export function dollars(value) {
  if (value === null || value === undefined) return UNKNOWN;
  if (value === 0) return "$0";
  if (Math.abs(value) >= 0.1) return `$${value.toFixed(2)}`;
  return `$${Number(value.toPrecision(2)).toFixed(12).replace(/0+$/, "")}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return UNKNOWN;
  if (value < 0.0995) return `${Math.round(1000 * value)} ms`;
  return value < 0.995 ? `${value.toFixed(2)} s` : `${value.toFixed(1)} s`;
}

export const share = (value) => (value === null || value === undefined ? UNKNOWN : `${Math.round(100 * value)} %`);

/** A number of a step; one too small to matter is said to be so. */
export function number(value) {
  if (value !== 0 && Math.abs(value) < 0.001) return value < 0 ? "> -0.001" : "< 0.001";
  return String(Number(value.toPrecision(3)));
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** What a cost stands on, if that is not a provider's bill. */
export const basisOf = (basis) => (basis && basis !== "BILLED" ? basis.toLowerCase() : "");

export const STANDS_ON = { GROUNDED: "passages", OWN_KNOWLEDGE: "its own knowledge", ABSTAINED: "nothing: no answer given" };

/** A time of day; with the day, when that is another one. */
export function when(rfc3339) {
  const time = new Date(rfc3339);
  if (Number.isNaN(time.getTime())) return UNKNOWN;
  const clock = time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return time.toDateString() === new Date().toDateString()
    ? clock
    : `${time.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock}`;
}
