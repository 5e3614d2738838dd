"""Contract tests and fakes, shipped so that authors of plug-ins use them too: one module a kind of plug-in."""
