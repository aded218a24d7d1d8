# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is measured beside whom."""

import os
import shutil

import virsh
import ways

MULTIFD = {"multifd-channels": 2}


def migrate(to, back, **more):
    return {"save": ways.save_migrate(f"exec:{to} > {{file}}"),
            "restore": ways.restore_incoming(f"exec:{back}"),
            "needs": [to.split()[0]], **more}


def mapped(capabilities, parameters):
    uri = "file:{file}"
    return {"save": ways.save_migrate(uri, capabilities, parameters),
            "restore": ways.restore_deferred(uri, capabilities, parameters),
            "qemu": "10.0", "ours": ["none"], "ours_back": ["none", "zstd:1"],
            "cold": True, "needs": []}


def libvirt(save_format, ours):
    # virsh save ends the VM, and its time is with that.
    return {"save": virsh.save(save_format),
            "restore": virsh.restore(save_format), "ours": [f"{ours} --quit"],
            "ours_back": [ours], "needs": ["libvirtd", "virsh", "unshare"]}


# ours, ours_back: what stasis does beside the peer, when it saves and when it
# restores; the peer stands between the two.
PEERS = {
    "exec:cat": migrate("cat", "cat {file}", ours=["none"],
                        ours_back=["zstd:1", "none"]),
    "exec:zstd": migrate("zstd -q -1 -T2", "zstd -q -dc {file}",
                         ours=["zstd:1", "zstd:-1"],
                         ours_back=["zstd:1", "zstd:-1"]),
    "exec:lzop": migrate("lzop", "lzop -dc {file}", ours=["zstd:1"],
                         ours_back=["zstd:1"]),
    "savevm": {"save": ways.save_savevm, "restore": ways.restore_loadvm,
               "ours": ["none", "zstd:1"], "ours_back": ["none", "zstd:1"],
               "needs": ["qemu-img"]},
    "mapped-ram": mapped(["mapped-ram"], {}),
    "mapped-ram-multifd": mapped(["mapped-ram", "multifd"], MULTIFD),
    "virsh-lzop": libvirt("lzop", "zstd:1"),
    "virsh-raw": libvirt("raw", "none"),
}

TITLES = {
    "exec:cat": "QEMU exec:cat",
    "exec:zstd": "QEMU exec:zstd -1 -T2",
    "exec:lzop": "QEMU exec:lzop",
    "savevm": "QEMU savevm, loadvm",
    "mapped-ram": "QEMU 10.0 mapped-ram",
    "mapped-ram-multifd": "QEMU 10.0 mapped-ram, multifd",
    "virsh-lzop": "virsh save, restore; lzop",
    "virsh-raw": "virsh save, restore; raw",
}


def why_missing(env, peer):
    """Why a peer cannot run here, or None."""
    for need in peer["needs"]:
        if not shutil.which(need):
            return f"no {need}"
    qemu = env["qemus"][peer.get("qemu", "")]
    if not shutil.which(qemu):
        return f"no {qemu}"
    return None


def title(who):
    return TITLES.get(who, who)


def stored(who, qemu):
    """The file that WHO writes with that QEMU."""
    return f"{who}@{os.path.basename(qemu)}".replace(":", "-")
