"""`edgewise leaktest`: marked secrets in every place where a secret can be, and whether one of them gets out."""
