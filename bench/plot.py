# SPDX-License-Identifier: LGPL-2.1-or-later
"""The content guest's medians as bars: save and restore side by side."""

import os
import statistics

import peers

OURS, THEIRS = "#1f6f8b", "#b8bec4"


def medians(result, guest, kind):
    times = {}
    for m in result["measurements"]:
        # The same save once more, of a VM that ends with it, is not drawn.
        if (m["guest"] == guest and m["what"] == kind
                and not m["who"].endswith("--quit")):
            times.setdefault(m["who"], []).append(m["wall"])
    return {who: statistics.median(t) for who, t in times.items()}


def bars(axes, times, heading):
    order = sorted(times, key=times.get, reverse=True)
    values = [times[who] for who in order]
    colours = [OURS if who.startswith("stasis") else THEIRS for who in order]
    drawn = axes.barh([peers.title(who) for who in order], values,
                      color=colours, height=0.7)
    axes.bar_label(drawn, fmt="%.2f", padding=3, fontsize=9)
    axes.set_title(heading, loc="left", fontsize=11)
    axes.set_xlabel("seconds", fontsize=9)
    axes.tick_params(labelsize=9, length=0)
    axes.margins(x=0.12)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def write(result, path):
    os.environ.setdefault("MPLCONFIGDIR", "/nonexistent")
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none",
                                "svg.hashsalt": "stasis",
                                "font.family": "sans-serif"})
    from matplotlib import pyplot
    guest = next(iter(result["guests"]))
    panels = [(kind, heading) for kind, heading in
              (("save", "Save, synced"), ("restore", "Restore, until loaded"))
              if medians(result, guest, kind)]
    if not panels:
        return
    figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 4.2),
                                   squeeze=False)
    for (kind, heading), one in zip(panels, axes[0]):
        bars(one, medians(result, guest, kind), heading)
    figure.suptitle(f"{result['guests'][guest]}, {result['machine']['cores']} "
                    f"CPUs; medians of {result['rounds']}", fontsize=10, x=0.02,
                    ha="left")
    figure.tight_layout()
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    pyplot.close(figure)
