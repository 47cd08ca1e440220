"""What a run leaves behind and shows while it works: the run directory, the console, the report."""
