"""Everything a stack needs from outside: the list of it, a folder with all of it, and a server of that folder.

A lab without a way out brings its machines up from such a folder; every other lab can use it as a mirror.
"""
