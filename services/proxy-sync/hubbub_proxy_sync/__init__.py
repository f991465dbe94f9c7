"""proxy-sync: keeps one proxy's routes equal to what the log wants."""
