"""Change real model files as an older version, an accident or an attacker would."""

import json
import struct
import zipfile


def rewrite(path, change, compression=zipfile.ZIP_STORED):
    """Write an archive anew after a function has changed its parts, a dict of name to bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def edit(path, name, change):
    """Change the JSON document in one part of an archive: a dict, changed in place."""

    def change_part(parts):
        document = json.loads(parts[name])
        change(document)
        parts[name] = json.dumps(document).encode()

    rewrite(path, change_part)


def overwrite_directory(path, name, offset, layout, value):
    """Overwrite a field of a member in the directory at the end of an archive, which `zipfile` believes."""
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    content = bytearray(path.read_bytes())
    entry = content.rindex(name.encode(), start) - 46  # a name follows 46 bytes of fields
    assert content[entry : entry + 4] == b"PK\x01\x02"
    struct.pack_into(layout, content, entry + offset, value)
    path.write_bytes(content)


def declare_size(path, name, size):
    """Let the directory say that a member unpacks to another size than it does."""
    overwrite_directory(path, name, 24, "<L", size)
