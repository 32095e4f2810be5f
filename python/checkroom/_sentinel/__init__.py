"""What goes along into the script of ``checkroom preflight``: it ends a run before its first batch.

Such a run is a rehearsal: the script is played up to the preflight of its trainer. This folder, and nothing else of
checkroom, is copied onto the script's ``PYTHONPATH``: the environment that runs the script may lack checkroom, or hold
another version of it. So everything in here uses the standard library alone, imports relatively, and knows the callback
by its attributes.
"""
