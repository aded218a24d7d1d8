# SPDX-License-Identifier: LGPL-2.1-or-later
"""A run's measurements as tables in Markdown."""

import statistics

import peers
import plot

KINDS = {
    "save": "Save, until the file is synced",
    "restore": "Restore, the file in the page cache",
    "cold": "Restore, the file not in the page cache",
}
NOTES = """\
Seconds are medians (smallest to largest). Each peer is measured next to stasis \
on a VM with the same memory, the order changing every round; the ratio is the \
median of those of such pairs: below 1, stasis is faster. *Stands*: until the \
guest could go on, where that is earlier. CPU is that of the whole machine, the \
kernel's with it. *Helper* is the peak RSS of the processes beside QEMU (stasis, \
zstd, ...), *QEMU* what the peak of its own RSS has above the start. \
Both of a pair are otherwise the same: QEMU's start is in every restore, a sync \
of the file in every save.
"""


def pick(result, **want):
    return [m for m in result["measurements"]
            if all(m.get(k) == v for k, v in want.items())]


def median(rows, key):
    values = [r[key] for r in rows if r.get(key) is not None]
    return statistics.median(values) if values else None


def spread(values, digits=2):
    values = sorted(values)
    return (f"{statistics.median(values):.{digits}f} "
            f"({values[0]:.{digits}f} to {values[-1]:.{digits}f})")


def mib(value):
    return "" if value is None else f"{value / 2**20:.0f}"


def ratios(result, guest, kind, peer, ours):
    """Of stasis to the peer, round by round."""
    found = []
    for m in pick(result, guest=guest, what=kind, peer=peer, who=peer):
        found += [o["wall"] / m["wall"] for o in
                  pick(result, guest=guest, what=kind, peer=peer, who=ours,
                       round=m["round"])]
    return found


def whos(rows):
    """Those of stasis first."""
    names = list(dict.fromkeys(r["who"] for r in rows))
    return sorted(names, key=lambda n: not n.startswith("stasis"))


def ratio_cell(result, guest, kind, who, rows):
    cells = []
    for ours in whos(pick(result, guest=guest, what=kind, peer=who)):
        if ours != who:
            found = ratios(result, guest, kind, who, ours)
            cells.append(f"{ours.split(maxsplit=1)[1]}: {spread(found)}")
    return "; ".join(cells)


def row(result, guest, kind, who):
    rows = pick(result, guest=guest, what=kind, who=who)
    cells = [peers.title(who), spread([r["wall"] for r in rows])]
    if kind == "save":
        stands = median(rows, "stands")
        cells.append(f"{stands:.2f}")
    cells += [f"{median(rows, 'cpu'):.2f}", mib(median(rows, "helper_rss"))]
    if kind == "save":
        cells += [mib(median(rows, "qemu_growth")),
                  f"{median(rows, 'allocated') / 1e6:,.1f}"]
    if kind == "cold":
        read = median(rows, "read")
        cells.append("?" if read is None else f"{read / 1e6:,.1f}")
    cells.append(ratio_cell(result, guest, kind, who, rows))
    return "| " + " | ".join(cells) + " |"


def heads(kind):
    return {
        "save": ["", "seconds", "stands, s", "CPU, s", "helper, MiB",
                 "QEMU, MiB", "file, MB", "stasis / this"],
        "restore": ["", "seconds", "CPU, s", "helper, MiB", "stasis / this"],
        "cold": ["", "seconds", "CPU, s", "helper, MiB", "read, MB",
                 "stasis / this"],
    }[kind]


def table(result, guest, kind):
    rows = pick(result, guest=guest, what=kind)
    if not rows:
        return []
    head = heads(kind)
    lines = [f"### {KINDS[kind]}", "", "| " + " | ".join(head) + " |",
             "|---|" + "---:|" * (len(head) - 2) + "---|"]
    lines += [row(result, guest, kind, who) for who in whos(rows)]
    if kind == "save":
        lines += floor_rows(result, guest, len(head))
    for m in result["missing"]:
        if m["guest"] == guest:
            lines.append(f"| {peers.title(m['peer'])} | missing: {m['why']} |"
                         + " |" * (len(head) - 2))
    return lines + [""]


def floor_rows(result, guest, columns):
    """What no save that compresses in frames of 1 MiB can be faster than."""
    lines = []
    for floor in dict.fromkeys(
            r["who"] for r in pick(result, guest=guest, what="floor")):
        rows = pick(result, guest=guest, what="floor", who=floor)
        cells = [f"floor of {floor}", spread([r["wall"] for r in rows]), "",
                 f"{median(rows, 'cpu'):.2f}"]
        over = [o["wall"] / r["wall"] for r in rows for o in
                pick(result, guest=guest, what="save", who=f"stasis {floor}",
                     round=r["round"])]
        cells += [""] * (columns - len(cells) - 1)
        cells.append(f"{floor}: {spread(over)}" if over else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def machine_lines(result):
    m = dict(result["machine"])
    lines = [f"{m.pop('date')}, rounds: {result['rounds']}. {m.pop('cpu')}, "
             f"{m.pop('cores')} CPUs, {m.pop('ram') / 2**30:.0f} GiB, "
             f"load {m.pop('load'):.2f} at the start. Linux {m.pop('kernel')}."]
    lines += [f"- {name}: {value}" for name, value in m.items()]
    if result["scale"] != 1:
        lines.append(f"- guests made {result['scale']} x as large as usual")
    return lines


def markdown(result):
    lines = ["# stasis beside its peers", "", *machine_lines(result), "", NOTES]
    for guest, about in result["guests"].items():
        lines += [f"## {guest}: {about}", ""]
        for kind in KINDS:
            lines += table(result, guest, kind)
    return "\n".join(lines).rstrip() + "\n"


def write(result, out):
    with open(f"{out}/bench.md", "w") as f:
        f.write(markdown(result))
    plot.write(result, f"{out}/bench.svg")
