"""An examination of the installation from inside and outside: what was found, what to change. It changes nothing."""
