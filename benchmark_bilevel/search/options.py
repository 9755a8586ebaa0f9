"""Options of ``benchopt run``, in configurations and in patterns."""

import re


def by_option(content):
    """The configuration `content` with hyphens in its options, as benchopt takes both."""
    return {str(name).replace("_", "-"): value for name, value in content.items()}


def listed(entries):
    """What a configuration has under a key: one entry or several."""
    return entries if isinstance(entries, list) else [entries]


def limits(oracle_calls):
    """Parameters of a run that ends by its calls, never by its seconds."""
    return {"max_oracle_calls": max(1, int(oracle_calls)), "max_seconds": 1e9}


def with_option(pattern, name, value):
    """A pattern of ``benchopt run`` with the parameter `name`, in place of any it has."""
    old = re.compile(rf",?\b{name}=(\[[^\]]*\]|[^,\]]*)")
    pattern = old.sub("", pattern).replace("[,", "[")
    base, _, options = pattern.removesuffix("]").partition("[")
    return f"{base}[{','.join(filter(None, (options, f'{name}={value}')))}]"
