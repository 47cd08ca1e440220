"""The commands `p2o` and `p2o-train`. Each subcommand is a module with `add_arguments` and `run`."""
