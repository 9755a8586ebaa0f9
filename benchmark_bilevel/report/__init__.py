"""From result files to figures, tables and the web site; no solver depends on it."""
