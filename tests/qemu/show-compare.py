#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""show-compare.py [--alone] ORACLE STREAM SHOWN

Whether what `stasis show --json` printed (SHOWN) of a migration stream (STREAM)
is what QEMU's own analyze-migration.py (ORACLE) reads there: the same devices
in the same order, and of each the same fields in the order of their bytes, by
path, type, offset, size and value, no more and no fewer.  What QEMU describes
as opaque, the oracle gives as bytes; we tell it in parts, which must be these
bytes, without gaps.

The oracle is QEMU's, as it is.  It fails on some streams that QEMU writes; that
is mended from outside, each with its reason below.  --alone: it needs none of
this; run by itself it must say the same.

Prints what was compared; 1: it differs, stderr says where.
"""
import collections
import copy
import itertools
import json
import re
import struct
import subprocess
import sys
import types

# What vmdesc misdescribes: it has the first of an array of pointers for all,
# here a null pointer (until QEMU 10.0).  Neither side can know the fields.
MISDESCRIBED = {'s390_css'}

# What the oracle reads as a number; all else it gives as bytes, or bool.
NUMBERS = re.compile(r'u?int(8|16|32|64)( equal| le)?$')
# What it gives as bytes and we in parts.
OPAQUE = {'virtio', 'qtailq', 'qlist', 'gtree', 'tmp', 'vstruct'}


class Differs(Exception):
    pass


def need(true, what, *args):
    if not true:
        raise Differs(what % args)


# ---- the oracle --------------------------------------------------------------

def load(path):
    """The script's classes; what stands behind them runs it."""
    with open(path) as f:
        text = f.read()
    code = text[:text.index('parser = argparse.')]
    module = types.ModuleType('oracle')
    exec(compile(code, path, 'exec'), module.__dict__)
    return module


def mend_fields(fields):
    """Names that follow each other are one array.  Each element has its index
    in 7.2, all but the last in 10.0 (the oracle lets that one replace the
    others), none in 11.1; from 10.0 on there are runs of null pointers between
    them.  Before, a null pointer is a struct without fields, of which the
    oracle does not read the one byte."""
    out = []
    for i, field in enumerate(fields):
        if field['type'] == 'struct' and field['size'] == 1 and \
                not field['struct'].get('fields') and \
                not field['struct'].get('subsections'):
            del field['struct']
            field['type'] = 'nullptr'
        if 'struct' in field:
            mend_vmsd(field['struct'])
        before = i > 0 and fields[i - 1]['name'] == field['name']
        after = i + 1 < len(fields) and fields[i + 1]['name'] == field['name']
        if not before and not after:
            out.append(field)
            continue
        for _ in range(field.pop('array_len', 1)):
            element = copy.deepcopy(field)
            element['index'] = out[-1]['index'] + 1 if before else 0
            before = True
            out.append(element)
    return out


def mend_vmsd(vmsd):
    if 'fields' in vmsd:
        vmsd['fields'] = mend_fields(vmsd['fields'])
    for sub in vmsd.get('subsections', []):
        mend_vmsd(sub)


def mend(oracle):
    """Returns the class to read a stream with."""

    class File(oracle.MigrationFile):
        footer = 0  # 1: its type byte was read; 2: its section id, too

        # An instance id may be 2^31 and more: spapr_iommu's are.
        def read32(self):
            self.footer = 2 if self.footer == 1 else 0
            return super().read32() & 0xffffffff

        # From 10.0 on the command SWITCHOVER_START stands between sections.
        def read8(self):
            between = self.footer == 2
            value = super().read8()
            if between and value == 8:
                need(self.read32() == 0x000b0000, 'another command')
                value = super().read8()
            self.footer = 1 if value == 0x7e else 0
            return value

        def peek(self):
            at = self.file.tell()
            data = self.file.read()
            self.file.seek(at)
            return data

    class Configuration(oracle.ConfigurationSection):
        """With its subsections, which vmdesc describes from 10.0 on only."""

        def __init__(self, file, desc=None):
            self.file = file

        def read(self):
            self.file.readvar(self.file.read32())
            while self.file.peek()[:1] == b'\5':
                self.file.read8()
                name = self.file.readstr()
                self.file.read32()
                if name == 'configuration/target-page-bits':
                    self.file.read32()
                elif name == 'configuration/capabilities':
                    for _ in range(self.file.read32()):
                        self.file.readstr()
                else:
                    raise Differs('unknown subsection ' + name)

    class StorageAttributes:
        """s390-storage_attributes, unknown to the oracle of 7.2."""

        def __init__(self, file, version_id, arg, section_key):
            self.file = file
            self.section_key = section_key

        def read(self):
            while True:
                flags = self.file.read64() & 0xff
                if flags == 1:
                    return
                need(flags in (2, 8), 'storage attributes %d', flags)
                if flags == 2:
                    self.file.readvar(self.file.read64())

        def getDict(self):
            return ''

    class Whole:
        """A section as bytes: up to its footer and the section that vmdesc
        lists next."""

        def __init__(self, file, version_id, follows, section_key):
            self.file = file
            self.section_key = section_key
            self.end = re.compile(b'\x7e....\x04....' + re.escape(follows),
                                  re.S)

        def read(self):
            found = self.end.search(self.file.peek())
            need(found, 'no end of %s', self.section_key)
            self.data = self.file.readvar(found.start())

        def getDict(self):
            return {'data': ' '.join('%02x' % c for c in self.data)}

    class Dump(oracle.MigrationDump):
        def __init__(self, filename):
            super().__init__(filename)
            self.section_classes[('s390-storage_attributes', 0)] = (
                StorageAttributes, None)

        def load_vmsd_json(self, file):
            super().load_vmsd_json(file)
            devices = self.vmsd_desc['devices']
            for i, device in enumerate(devices):
                if device['name'] not in MISDESCRIBED:
                    mend_vmsd(device)
                    continue
                name = devices[i + 1]['name'].encode()
                follows = bytes([len(name)]) + name + struct.pack(
                    '>I', devices[i + 1]['instance_id'])
                self.section_classes[(device['name'],
                                      device['instance_id'])] = (Whole,
                                                                 follows)
            # Reading changes it.
            self.told = copy.deepcopy(devices)

    oracle.MigrationFile = File
    oracle.ConfigurationSection = Configuration
    return Dump


def ask(path, stream):
    """What the oracle says: vmdesc's devices, and the sections' contents by
    "NAME (SECTION ID)", in the stream's order."""
    oracle = load(path)
    dump = mend(oracle)(stream)
    dump.read()
    return dump.told, json.loads(
        oracle.JSONEncoder().encode(dump.getDict()),
        object_pairs_hook=collections.OrderedDict)


def ask_alone(path, stream):
    run = subprocess.run([sys.executable, path, '-f', stream, '-d', 'state'],
                         stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)


# ---- the two beside each other -----------------------------------------------

def number_of(entry):
    """Numbers from 2^63 on are strings."""
    value = entry['value']
    if isinstance(value, str) and value.startswith('0x'):
        need(int(value, 16) >= 1 << 63, '%s: %s', entry['path'], value)
        return int(value, 16)
    need(type(value) is int, '%s: %r is no number', entry['path'], value)
    return value


def bytes_of(entry):
    value, size = entry['value'], entry['size']
    if entry['type'] == 'subsection':
        name = entry['path'][-(size - 6):]
        return b'\5' + bytes([size - 6]) + name.encode() + struct.pack(
            '>I', value)
    if value is None:
        return b'0'
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, str) and not value.startswith('0x'):
        data = bytes.fromhex(value)
        need(len(data) == size, '%s: %d bytes, not %d', entry['path'],
             len(data), size)
        return data
    value = number_of(entry)
    return value.to_bytes(size, 'big', signed=value < 0)


class Device:
    """Takes one device's entries, in order, as the oracle has them."""

    def __init__(self, shown, totals):
        self.entries = shown['fields']
        self.totals = totals
        self.next = self.offset = 0

    def peek(self):
        return self.entries[self.next] if self.next < len(
            self.entries) else None

    def take(self, path):
        entry = self.peek()
        need(entry, '%s: is not shown', path)
        need(entry['offset'] == self.offset, '%s: at %d, not %d',
             entry['path'], entry['offset'], self.offset)
        self.next += 1
        self.offset += entry['size']
        return entry

    def leaf(self, path, kind, size, value):
        """value: the oracle's."""
        entry = self.take(path)
        need((entry['path'], entry['type'], entry['size']) ==
             (path, kind, size), '%s, %s, %d bytes: shown as %s, %s, %d',
             path, kind, size, entry['path'], entry['type'], entry['size'])
        if kind == 'subsection':
            same = entry['value'] == value
        elif kind == 'bool':
            same = entry['value'] is value
        elif NUMBERS.match(kind) and isinstance(value, str):
            raw = bytes.fromhex(value.split()[0][2:])
            need(len(raw) == size, '%s: %s of %d bytes', path, value, size)
            same = number_of(entry) == int.from_bytes(
                raw, 'big', signed=kind.startswith('int'))
        else:
            same = bytes_of(entry) == bytes.fromhex(value)
        need(same, '%s: %r, the oracle has %s', path, entry['value'], value)
        self.totals['fields'] += 1
        self.totals['types'].add(kind)

    def in_parts(self, path):
        """virtio of a transport other than PCI stays bytes."""
        return not self.peek() or self.peek()['path'] != path

    def parts(self, path, kind, size, value):
        data = b''
        while self.peek() and self.peek()['path'].startswith(
                (path + '.', path + '[')):
            data += bytes_of(self.take(path))
            self.totals['parts'] += 1
        need(len(data) == size, '%s: parts of %d bytes, not %d', path,
             len(data), size)
        want = bytes.fromhex(value)
        for i, byte in enumerate(data):
            need(byte == want[i], '%s: byte %d is %02x, the oracle has %02x',
                 path, i, byte, want[i])
        self.totals['types'].add(kind)

    def field(self, path, field, value):
        begin = self.offset
        if field['type'] == 'struct':
            self.vmsd(path + '.', field['struct'], value)
        elif field['type'] in OPAQUE and self.in_parts(path):
            self.parts(path, field['type'], field['size'], value)
        else:
            self.leaf(path, field['type'], field['size'], value)
        # Of an array's elements it tells the first one's size.
        if not field.get('index') and 'array_len' not in field:
            need(self.offset - begin == field['size'], '%s: %d bytes, not %d',
                 path, self.offset - begin, field['size'])

    def vmsd(self, prefix, vmsd, state):
        names = set()
        for field in vmsd.get('fields', []):
            path, value = prefix + field['name'], state[field['name']]
            names.add(field['name'])
            if 'array_len' in field:
                need(len(value) == field['array_len'], '%s: %d of %d', path,
                     len(value), field['array_len'])
                for i, element in enumerate(value):
                    self.field('%s[%d]' % (path, i), field, element)
            elif 'index' in field:
                self.field('%s[%d]' % (path, field['index']), field,
                           value[field['index']])
            else:
                self.field(path, field, value)
        for sub in vmsd.get('subsections', []):
            name = sub['vmsd_name']
            names.add(name)
            self.leaf(prefix + name, 'subsection', 6 + len(name),
                      sub['version'])
            self.vmsd(prefix + name + '.', sub, state[name])
        need(names == set(state), '%s: the oracle has %s', prefix,
             sorted(set(state) ^ names))

    def done(self, size):
        need(not self.peek(), '%s: only we show it',
             self.peek() and self.peek()['path'])
        need(self.offset == size, '%d of %d bytes', self.offset, size)


def compare_device(told, state, shown, totals):
    need((shown['idstr'], shown['instance_id']) ==
         (told['name'], told['instance_id']), 'the oracle has %s',
         told['name'])
    totals['devices'] += 1
    if told['name'] in MISDESCRIBED or 'vmsd_name' not in told:
        need(shown['described'] is False and 'fields' not in shown,
             'is shown as described')
        data = bytes.fromhex(shown['value'])
        need(data == bytes.fromhex(state['data']) and
             len(data) == shown['bytes'], 'other bytes')
        totals['undescribed'] += 1
        return
    need(shown['described'] is True, 'is not decoded: %s', shown.get('why'))
    need(shown['version_id'] == told['version'], 'version %d, not %d',
         shown['version_id'], told['version'])
    device = Device(shown, totals)
    device.vmsd('', told, state)
    device.done(shown['bytes'])


def compare(told, state, shown):
    totals = {'devices': 0, 'undescribed': 0, 'fields': 0, 'parts': 0,
              'types': set()}
    described = {device['name'] for device in told}
    live, contents = [], []
    for key, value in state.items():
        name = key[:key.rindex(' (')]
        if name in described:
            contents.append((name, value))
        else:
            live.append(name)
    devices = [d for d in shown['devices'] if d['kind'] != 'start']
    need(live == [d['idstr'] for d in shown['devices']
                  if d['kind'] == 'start'], 'live sections: %s', live)
    for oracle_has, we_have in itertools.zip_longest(
            (name for name, _ in contents), (d['idstr'] for d in devices)):
        need(oracle_has == we_have, '%s: the oracle has %s', we_have,
             oracle_has)
    need(len(told) == len(contents), 'the oracle lost a device')
    for a, (_, value), b in zip(told, contents, devices):
        try:
            compare_device(a, value, b, totals)
        except Differs as e:
            raise Differs('%s: %s' % (b['idstr'], e)) from e
    return totals


def main(args):
    alone = args[0] == '--alone'
    path, stream, shown = args[alone:]
    with open(shown) as f:
        shown = json.load(f)
    told, state = ask(path, stream)
    try:
        if alone:
            need(ask_alone(path, stream) == state,
                 'the oracle, mended, says something else')
        totals = compare(told, state, shown)
    except Differs as e:
        print(e, file=sys.stderr)
        return 1
    print('%d devices (%d undescribed), %d fields, %d parts, %d types' % (
        totals['devices'], totals['undescribed'], totals['fields'],
        totals['parts'], len(totals['types'])))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
