"""The REST surface: routes, one file per noun, and the OAuth endpoints; it speaks HTTP and decides nothing."""
