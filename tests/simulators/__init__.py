"""Providers made from the catalog's entries, each as strict as its entry says (contract section 3).

A simulator reads the entry as it is written and nothing of the code that executes it: what the two agree on is the
entry. It refuses everything that the entry does not say.
"""
