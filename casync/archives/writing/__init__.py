"""Writers of archives: members in, blocks of bytes out. Memory does not grow with the members.

The same members give the same bytes on any machine; where bytes are deflated, with the same zlib.
"""
