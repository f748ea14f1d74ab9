"""What every server of the tests would work out anew, worked out once before they are started: see nursery.

Packing the static files as small as they go takes longer than all that a page of a test asks for.
"""

from flask import Flask
from jinja2 import FileSystemBytecodeCache

from pwa.web import pwa_shell

Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
for _file in pwa_shell.STATIC.rglob("*"):
    if _file.suffix in (".js", ".css", ".svg", ".json"):
        pwa_shell._squeezed(pwa_shell._text(_file.relative_to(pwa_shell.STATIC).as_posix()), "br")
