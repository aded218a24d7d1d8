/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "qemu/process.h"
#include "qemu/qmp.h"
#include "qemu/twin.h"
#include "qemu/twin_private.h"

#define ENDS " -display none -monitor none -no-user-config"

static uint64_t size_of(void *arg, const char *file, const char *format)
{
        (void)arg;
        if (strcmp(file, "unknown") == 0)
                return 0;
        return 4096u * (unsigned)strlen(file) +
               (format && strcmp(format, "qcow2") == 0 ? 512 : 0);
}

static const struct twin_options sized = {.disk_size = size_of};

static char **split(const char *line, char *copy, char **words)
{
        size_t n = 0;
        char *at;

        strcpy(copy, line);
        for (char *w = strtok_r(copy, " ", &at); w;
             w = strtok_r(NULL, " ", &at))
                words[n++] = w;
        words[n] = NULL;
        return words;
}

static bool run(const char *line, struct twin *t, struct err *err)
{
        char copy[4096], *words[200];

        return twin_argv(split(line, copy, words), &sized, t, err);
}

static void join(const struct twin *t, char out[4096])
{
        *out = '\0';
        for (char **w = t->argv; *w; w++) {
                strcat(out, w == t->argv ? "" : " ");
                strcat(out, *w);
        }
}

/* The names that drives get, so that their files can be told, have a test of
 * their own. */
static void drop_made_names(char *line)
{
        static const char made[] = ",node-name=stasis-disk";
        char *at;

        while ((at = strstr(line, made))) {
                size_t len = sizeof made - 1;

                len += strspn(at + len, "0123456789");
                memmove(at, at + len, strlen(at + len) + 1);
        }
}

/* Words in neither line hold a space.  missing: how many are not probed. */
static void becomes(const char *line, const char *expected, size_t missing)
{
        char got[4096], want[4096];
        struct err err = ERR_INIT;
        struct twin t;

        assert_done(run(line, &t, &err), &err);
        join(&t, got);
        drop_made_names(got);
        snprintf(want, sizeof want, "%s" ENDS, expected);
        assert_string_equal(got, want);
        assert_int_equal(t.not_probed_count, missing);
        twin_fini(&t);
}

static void is_refused(const char *line, const char *naming)
{
        struct err err = ERR_INIT;
        char text[1536];
        struct twin t;

        assert_false(run(line, &t, &err));
        assert_int_equal(err.status, ERR_MISMATCH);
        assert_non_null(strstr(err_line(&err, text, sizeof text), naming));
        twin_fini(&t);
}

static void the_machine_stays(void **state)
{
        const char *same =
                "qemu-system-x86_64 -M type=q35,accel=tcg -m 1G,slots=2 -smp 2 "
                "-cpu max -bios x.bin -kernel k -initrd i -append a=b "
                "-device virtio-rng-pci,addr=3 -global a.b=c -nodefaults -usb "
                "-vga std -rtc base=utc -smbios type=1,serial=a,,b";

        (void)state;
        becomes(same, same, 0);
        becomes("qemu --uuid u", "qemu -uuid u", 0);
}

static void what_reaches_out_goes(void **state)
{
        (void)state;
        becomes("qemu -monitor unix:m,server,nowait -qmp tcp:0:1 -mon "
                "chardev=x "
                "-pidfile p -daemonize -D log -d cpu -trace file=t -S -s "
                "-incoming defer -loadvm v -gdb tcp::1 -snapshot -vnc :1 "
                "-spice port=1 -runas u -chroot / -mem-path /m -mem-prealloc "
                "-add-fd fd=3,set=2 -plugin p.so --no-user-config",
                "qemu", 0);
        becomes("qemu -name guest=g,process=p,debug-threads=on -machine "
                "pc,dumpdtb=f,usb=on -overcommit mem-lock=on,cpu-pm=on "
                "-overcommit mem-lock=on -icount shift=3,rr=record,rrfile=f "
                "-nographic",
                "qemu -name guest=g -machine type=pc,usb=on -overcommit "
                "cpu-pm=on -icount shift=3 -machine graphics=off",
                0);
}

static void what_is_not_known_is_refused(void **state)
{
        (void)state;
        is_refused("qemu -readconfig f", "-readconfig");
        is_refused("qemu --preconfig", "-preconfig");
        is_refused("qemu -frobnicate", "-frobnicate");
        is_refused("qemu -object sev-guest,id=s", "-object");
        is_refused("qemu -set drive.d.file=x", "-set");
        is_refused("qemu -m", "-m");
        is_refused("qemu -blockdev {", "-blockdev");
}

static void what_starts_qemu_stays(void **state)
{
        (void)state;
        becomes("/l/ld-linux-x86-64.so.2 --library-path /a:/b "
                "/b/qemu-system-x86_64 -L /s -S",
                "/l/ld-linux-x86-64.so.2 --library-path /a:/b "
                "/b/qemu-system-x86_64 -L /s",
                0);
        becomes("ld.so --argv0 qemu-kvm --library-path /a /b/qemu-kvm -m 1",
                "ld.so --argv0 qemu-kvm --library-path /a /b/qemu-kvm -m 1", 0);
        becomes("taskset 3 qemu-kvm -S -m 1", "taskset 3 qemu-kvm -m 1", 0);
        becomes("/opt/emulator -S -name qemu", "/opt/emulator -name guest=qemu",
                0);
}

static void lines_and_characters_become_null(void **state)
{
        (void)state;
        becomes("qemu -chardev socket,id=c,path=/a,,b,server=on,mux=on "
                "-chardev stdio,id=d -serial chardev:c -serial mon:stdio "
                "-serial none -parallel /dev/parport0 -debugcon file:x",
                "qemu -chardev backend=null,id=c,mux=on -chardev "
                "backend=null,id=d -serial chardev:c -serial null -serial none "
                "-parallel null -debugcon null",
                0);
}

static void networks_end_in_a_hub(void **state)
{
        (void)state;
        becomes("qemu -netdev socket,id=a,listen=:1 -netdev "
                "{\"type\":\"stream\",\"id\":\"b\",\"addr\":{\"type\":\"unix\"}"
                "} "
                "-netdev hubport,id=c,hubid=3 -nic "
                "socket,model=e1000,mac=1,connect=:1 -nic none",
                "qemu -netdev type=hubport,hubid=2000000000,id=a -netdev "
                "type=hubport,hubid=2000000001,id=b -netdev "
                "hubport,id=c,hubid=3 -nic "
                "type=hubport,hubid=2000000002,mac=1,model=e1000 -nic none",
                0);
        becomes("qemu -net nic,model=e1000 -net socket,connect=:1",
                "qemu -net nic,model=e1000 -net none", 0);
}

static void offloads_that_are_lost_are_told(void **state)
{
        struct err err = ERR_INIT;
        struct twin t;

        (void)state;
        assert_done(run("qemu -netdev "
                        "{\"type\":\"tap\",\"fd\":\"31\",\"vhost\":true,"
                        "\"vhostfd\":\"33\",\"id\":\"n\"}",
                        &t, &err),
                    &err);
        assert_true(t.no_offloads);
        assert_int_equal(t.not_probed_count, 1);
        assert_string_equal(t.argv[2], "type=hubport,hubid=2000000000,id=n");
        twin_fini(&t);
        assert_done(run("qemu -netdev user,id=n", &t, &err), &err);
        assert_false(t.no_offloads);
        twin_fini(&t);
}

/* It has a section of its own, and what is forwarded may be in it. */
static void user_networks_listen_nowhere(void **state)
{
        (void)state;
        becomes("qemu -netdev user,id=n,net=10.1.0.0/16,hostfwd=tcp::22-:22,"
                "guestfwd=tcp:10.1.0.9:1-cmd:x,tftp=/t,smb=/s -nic "
                "user,model=e1000,hostfwd=tcp::1-:1 -net user,hostfwd=x",
                "qemu -netdev type=user,guestfwd=tcp:10.1.0.9:1-null,"
                "net=10.1.0.0/16,id=n -nic type=user,model=e1000 -net "
                "type=user",
                0);
        becomes("qemu -netdev {\"type\":\"user\",\"id\":\"n\",\"hostfwd\":"
                "[{\"str\":\"tcp::1-:2\"}],\"guestfwd\":[{\"str\":"
                "\"tcp:1.2.3.4:5-chardev:c\"}]}",
                "qemu -netdev "
                "type=user,guestfwd=tcp:1.2.3.4:5-null,id=n",
                0);
}

static void drives_become_zeros_of_their_size(void **state)
{
        (void)state;
        becomes("qemu -drive file=a,,b,format=qcow2,if=none,id=d,snapshot=on,"
                "cache=none,aio=native -drive if=ide,media=cdrom,index=1",
                "qemu -drive if=none,id=d,cache=none,driver=null-co,"
                "read-zeroes=on,size=12800 -drive if=ide,media=cdrom,index=1",
                0);
        becomes("qemu -cdrom ab -pflash abc -fda a -sd a abcd",
                "qemu -drive index=2,media=cdrom,driver=null-co,read-zeroes=on,"
                "size=8192 -drive if=pflash,driver=null-co,read-zeroes=on,"
                "size=12288 -drive if=floppy,index=0,driver=null-co,"
                "read-zeroes=on,size=4096 -drive if=sd,driver=null-co,"
                "read-zeroes=on,size=4096 -drive index=0,media=disk,"
                "driver=null-co,read-zeroes=on,size=16384",
                0);
        becomes("qemu -drive driver=qcow2,file.filename=ab,if=virtio -drive "
                "file=json:{\"driver\":\"raw\",,\"file\":{\"driver\":"
                "\"file\",,\"filename\":\"abc\"}}",
                "qemu -drive if=virtio,driver=null-co,read-zeroes=on,"
                "size=8704 -drive driver=null-co,read-zeroes=on,size=12288",
                0);
}

static void drives_of_unknown_size_are_told(void **state)
{
        (void)state;
        becomes("qemu -drive file=unknown,if=virtio",
                "qemu -drive if=virtio,driver=null-co,read-zeroes=on", 1);
        is_refused("qemu -drive file=unknown,if=pflash", "-drive");
}

static void nodes_keep_their_names(void **state)
{
        (void)state;
        becomes("qemu -blockdev driver=qcow2,node-name=top,file.driver=file,"
                "file.node-name=low,file.filename=abc,read-only=on",
                "qemu -blockdev driver=null-co,read-zeroes=on,size=12800,"
                "node-name=top,read-only=on -blockdev driver=null-co,"
                "read-zeroes=on,size=12288,node-name=low",
                0);
        becomes("qemu -blockdev "
                "{\"driver\":\"file\",\"filename\":\"ab\",\"node-name\":\"s\","
                "\"auto-read-only\":true} -blockdev "
                "{\"node-name\":\"f\",\"read-only\":false,\"driver\":\"qcow2\","
                "\"file\":\"s\",\"backing\":null} -blockdev "
                "driver=throttle,node-name=t,file=f,throttle-group=g -drive "
                "file=t,if=virtio",
                "qemu -blockdev driver=null-co,read-zeroes=on,size=8192,"
                "node-name=s -blockdev driver=null-co,read-zeroes=on,size=8704,"
                "node-name=f,read-only=off -blockdev driver=null-co,"
                "read-zeroes=on,size=8704,node-name=t -drive if=virtio,"
                "driver=null-co,read-zeroes=on,size=8704",
                0);
        /* A circle has no size. */
        becomes("qemu -blockdev driver=raw,node-name=a,file=b -blockdev "
                "driver=raw,node-name=b,file=a",
                "qemu -blockdev driver=null-co,read-zeroes=on,node-name=a "
                "-blockdev driver=null-co,read-zeroes=on,node-name=b",
                2);
}

static void memory_is_anonymous(void **state)
{
        (void)state;
        becomes("qemu -object memory-backend-file,id=m,size=1G,mem-path=/h,"
                "share=on,prealloc=on -object "
                "{\"qom-type\":\"memory-backend-memfd\",\"id\":\"n\",\"size\":"
                "4096,\"hugetlb\":true,\"host-nodes\":[0],\"policy\":\"bind\"}",
                "qemu -object "
                "qom-type=memory-backend-ram,id=m,size=1G,share=on "
                "-object qom-type=memory-backend-ram,id=n,size=4096",
                0);
        /* There RAMBlocks in files had another name. */
        becomes("qemu -machine pc-i440fx-3.1 -object "
                "memory-backend-file,id=m,size=1G",
                "qemu -machine type=pc-i440fx-3.1 -object "
                "qom-type=memory-backend-ram,id=m,size=1G,"
                "x-use-canonical-path-for-ramblock-id=on",
                0);
}

static void objects_touch_nothing(void **state)
{
        (void)state;
        becomes("qemu -object iothread,id=i -object rng-random,id=r,"
                "filename=/dev/random -object secret,id=s,file=k -object "
                "{\"qom-type\":\"tls-creds-x509\",\"id\":\"t\"} -object "
                "filter-dump,id=f,netdev=n,file=x -object "
                "cryptodev-vhost-user,id=c,chardev=d,queues=2",
                "qemu -object iothread,id=i -object qom-type=rng-builtin,id=r "
                "-object qom-type=cryptodev-backend-builtin,id=c,queues=2",
                0);
}

static void devices_of_the_host_are_taken_out(void **state)
{
        struct err err = ERR_INIT;
        struct twin t;

        (void)state;
        becomes("qemu -device vfio-pci,host=1:0.0,addr=5 -device "
                "{\"driver\":\"usb-host\",\"id\":\"u\"} -tpmdev emulator,id=t "
                "-device tpm-crb,tpmdev=t -device "
                "{\"driver\":\"e1000\",\"id\":\"e\"}",
                "qemu -device {\"driver\":\"e1000\",\"id\":\"e\"}", 3);
        /* What comes after it keeps its address. */
        becomes("qemu -device vhost-user-blk-pci,id=b,chardev=c -device e1000",
                "qemu -device driver=pci-testdev,id=b -device e1000", 1);
        assert_done(run("qemu -device vfio-pci,host=1:0.0\n", &t, &err), &err);
        assert_string_equal(t.not_probed[0],
                            "-device vfio-pci,host=1:0.0\\x0a");
        twin_fini(&t);
}

static void sound_and_directories_lead_nowhere(void **state)
{
        (void)state;
        becomes("qemu -audiodev pa,id=p,server=x -device AC97,audiodev=p "
                "-audio alsa,model=hda -fsdev local,id=f,path=/,"
                "security_model=none -virtfs local,path=/,mount_tag=t",
                "qemu -audiodev driver=none,id=p -device AC97,audiodev=p "
                "-audio driver=none,model=hda -fsdev fsdriver=synth,id=f "
                "-virtfs fsdriver=synth,mount_tag=t",
                0);
        becomes("qemu -device AC97 -device {\"driver\":\"hda-duplex\"}",
                "qemu -device AC97,audiodev=stasis-audio -device "
                "{\"driver\":\"hda-duplex\",\"audiodev\":\"stasis-audio\"} "
                "-audiodev none,id=stasis-audio",
                0);
}

/* ---- with a real one ----------------------------------------------------- */

static const char real[] =
        "qemu-system-x86_64 -name guest=g,debug-threads=on -S -machine "
        "pc-i440fx-4.2,usb=off,dump-guest-core=off -accel tcg -m 64 -smp 2 "
        "-object {\"qom-type\":\"secret\",\"id\":\"k\",\"file\":\"/none/k\"} "
        "-object memory-backend-file,id=x,size=1M,mem-path=/none/m "
        "-no-user-config -nodefaults -chardev "
        "socket,id=c,path=/none/c,server=on,wait=off -mon "
        "chardev=c,mode=control -blockdev "
        "{\"driver\":\"file\",\"filename\":\"/none/d\",\"node-name\":\"s\"} "
        "-blockdev {\"node-name\":\"f\",\"driver\":\"qcow2\",\"file\":\"s\"} "
        "-device {\"driver\":\"virtio-blk-pci\",\"drive\":\"f\",\"id\":\"v\"} "
        "-device vfio-pci,host=00:00.0 -netdev tap,id=n,fd=99,vhost=on -device "
        "virtio-net-pci,netdev=n -chardev pty,id=p -device "
        "isa-serial,chardev=p -fsdev local,id=l,path=/none/p,"
        "security_model=none -device virtio-9p-pci,fsdev=l,mount_tag=t -cdrom "
        "/none/cd -device AC97 -pidfile /none/pid -sandbox on -vnc "
        "unix:/none/v";

static void a_real_qemu_takes_it(void **state)
{
        struct process_options o = {.quiet = true, .outgoing = true};
        struct process *p = NULL;
        struct err err = ERR_INIT;
        struct qmp *q = NULL;
        json_t *nodes = NULL;
        struct twin t;

        (void)state;
        assert_done(run(real, &t, &err), &err);
        o.argv = t.argv;
        assert_done(process_start(&o, &p, &err), &err);
        assert_done(
                qmp_attach(process_take_qmp(p), "the twin", 20000, &q, &err),
                &err);
        assert_done(qmp_command(q, "query-named-block-nodes", NULL, &nodes,
                                NULL, &err),
                    &err);
        assert_int_equal(json_array_size(nodes), 3);
        json_decref(nodes);
        qmp_close(q);
        process_free(p);
        twin_fini(&t);
}

static void ram_is_not_filled(void **state)
{
        (void)state;
        becomes("qemu -device loader,file=content,addr=0x1000 -device e1000",
                "qemu -device e1000", 0);
}

static void sizes_have_units(void **state)
{
        (void)state;
        becomes("qemu -drive driver=null-co,size=16M,if=virtio",
                "qemu -drive if=virtio,driver=null-co,read-zeroes=on,"
                "size=16777216",
                0);
        becomes("qemu -drive driver=null-co,size=3k,if=virtio",
                "qemu -drive if=virtio,driver=null-co,read-zeroes=on,"
                "size=3072",
                0);
}

static void the_files_of_disks_are_told(void **state)
{
        struct err err = ERR_INIT;
        char line[4096];
        struct twin t;

        (void)state;
        assert_done(run("qemu -blockdev driver=file,node-name=f,filename=a "
                        "-blockdev driver=qcow2,node-name=q,file=f "
                        "-drive file=b,format=raw,if=virtio "
                        "-drive file=c,id=x -hda d",
                        &t, &err),
                    &err);
        join(&t, line);
        assert_int_equal(t.disk_count, 5);
        assert_string_equal(t.disks[0].node, "f");
        assert_string_equal(t.disks[0].file, "a");
        assert_string_equal(t.disks[1].node, "q");
        assert_string_equal(t.disks[1].file, "a");
        assert_string_equal(t.disks[1].format, "qcow2");
        assert_string_equal(t.disks[2].file, "b");
        assert_string_equal(t.disks[2].format, "raw");
        assert_string_equal(t.disks[3].file, "c");
        assert_null(t.disks[3].format);
        assert_string_equal(t.disks[4].file, "d");
        for (size_t i = 2; i < 5; i++)
                assert_non_null(strstr(line, t.disks[i].node));
        assert_string_not_equal(t.disks[2].node, t.disks[3].node);
        twin_fini(&t);
}

/* Tap devices of ours are not seen, and go with it. */
static void a_network_of_its_own_has_tap_devices(void **state)
{
        char *const words[] = {"qemu-system-x86_64",
                               "-nodefaults",
                               "-netdev",
                               "tap,id=n,fds=7:8,vhostfds=9:10,vhost=on",
                               "-device",
                               "virtio-net-pci,netdev=n,mq=on",
                               "-nic",
                               "bridge,br=x,model=virtio-net-pci",
                               NULL};
        struct process_options o = {.quiet = true, .outgoing = true};
        struct twin_options how = {.own_network = true};
        struct process *p = NULL;
        struct err err = ERR_INIT;
        struct qmp *q = NULL;
        int before = access("/sys/class/net/tap0", F_OK);
        char line[4096];
        struct twin t;

        (void)state;
        if (!twin_network()) {
                print_message("no tap devices on this system\n");
                skip();
        }
        assert_done(twin_argv(words, &how, &t, &err), &err);
        join(&t, line);
        assert_non_null(strstr(line, "unshare "));
        assert_non_null(strstr(line, "type=tap,script=no,downscript=no,"
                                     "queues=2,id=n"));
        assert_false(t.no_offloads);
        assert_int_equal(t.not_probed_count, 0);
        o.argv = t.argv;
        assert_done(process_start(&o, &p, &err), &err);
        assert_done(
                qmp_attach(process_take_qmp(p), "the twin", 20000, &q, &err),
                &err);
        assert_int_equal(access("/sys/class/net/tap0", F_OK), before);
        qmp_close(q);
        process_free(p);
        twin_fini(&t);
}

static bool alike(const char *a, const char *b)
{
        char left[512], right[512];
        char *x[64], *y[64], *save;
        size_t n = 0, m = 0;

        snprintf(left, sizeof left, "%s", a);
        snprintf(right, sizeof right, "%s", b);
        for (char *w = strtok_r(left, " ", &save); w;
             w = strtok_r(NULL, " ", &save))
                x[n++] = w;
        for (char *w = strtok_r(right, " ", &save); w;
             w = strtok_r(NULL, " ", &save))
                y[m++] = w;
        x[n] = y[m] = NULL;
        return twin_same(x, y);
}

static void the_same_machine_is_known_by_its_command_line(void **state)
{
        (void)state;
        assert_true(alike("qemu-kvm -M pc -m 64", "/usr/bin/qemu-kvm -M pc "
                                                  "-m 64"));
        /* What it is connected to, what fills its RAM, how it starts. */
        assert_true(alike("qemu -M pc -qmp unix:a,server=on,wait=off -serial "
                          "file:a -drive file=a.img,format=raw -S",
                          "qemu -M pc -serial file:b -drive "
                          "file=b.img,format=raw -incoming defer"));
        assert_true(alike("qemu -M pc -chardev socket,id=m,fd=5 -mon "
                          "chardev=m,mode=control -device "
                          "loader,file=x,addr=0x1000",
                          "qemu -M pc"));
        assert_true(alike("ld.so --library-path /l /q/qemu-system-x86_64 -L "
                          "/d -m 1",
                          "qemu-system-x86_64 -m 1"));
}

static void another_machine_is_not_the_same(void **state)
{
        (void)state;
        assert_false(alike("qemu -M pc -m 64", "qemu -M pc -m 65"));
        assert_false(alike("qemu -M pc", "qemu -M pc-i440fx-7.2"));
        assert_false(alike("qemu -M pc", "qemu -M pc -device piix3-usb-uhci"));
        assert_false(alike("qemu -M pc -device piix3-usb-uhci", "qemu -M pc"));
        /* The order counts: it places devices. */
        assert_false(
                alike("qemu -device a -device b", "qemu -device b -device a"));
        assert_false(alike("qemu -cpu max", "qemu -cpu max,-avx"));
        /* What no twin has, or not as it is. */
        assert_false(alike("qemu -device vfio-pci,host=1:0.0",
                           "qemu -device vfio-pci,host=1:0.0"));
        assert_false(alike("qemu -netdev tap,id=n -device "
                           "virtio-net-pci,netdev=n",
                           "qemu -netdev tap,id=n -device "
                           "virtio-net-pci,netdev=n"));
        assert_false(alike("qemu -no-such-option", "qemu -no-such-option"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_files_of_disks_are_told),
                cmocka_unit_test(ram_is_not_filled),
                cmocka_unit_test(sizes_have_units),
                cmocka_unit_test(the_machine_stays),
                cmocka_unit_test(what_reaches_out_goes),
                cmocka_unit_test(what_is_not_known_is_refused),
                cmocka_unit_test(what_starts_qemu_stays),
                cmocka_unit_test(lines_and_characters_become_null),
                cmocka_unit_test(networks_end_in_a_hub),
                cmocka_unit_test(offloads_that_are_lost_are_told),
                cmocka_unit_test(user_networks_listen_nowhere),
                cmocka_unit_test(drives_become_zeros_of_their_size),
                cmocka_unit_test(drives_of_unknown_size_are_told),
                cmocka_unit_test(nodes_keep_their_names),
                cmocka_unit_test(memory_is_anonymous),
                cmocka_unit_test(objects_touch_nothing),
                cmocka_unit_test(devices_of_the_host_are_taken_out),
                cmocka_unit_test(sound_and_directories_lead_nowhere),
                cmocka_unit_test(a_real_qemu_takes_it),
                cmocka_unit_test(a_network_of_its_own_has_tap_devices),
                cmocka_unit_test(the_same_machine_is_known_by_its_command_line),
                cmocka_unit_test(another_machine_is_not_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
