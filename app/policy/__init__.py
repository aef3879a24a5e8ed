"""Pure: facts in, decisions out. No clock, environment, file, random number or network in here."""
