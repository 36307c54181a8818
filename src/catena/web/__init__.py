"""The doors: routes that parse, call `runs` or the store, and encode. They decide nothing."""
