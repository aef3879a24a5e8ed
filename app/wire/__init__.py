"""Pure: bytes to facts, one module per format. No clock, environment, file or network in here."""
