/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that proves a snapshot's RAM to be one consistent cut.  It adds 1 to
 * a 32-bit counter at the start of every page from FIRST to LAST, in order, for
 * ever: at any moment the counters before the page being written are one more
 * than those behind it, and nowhere else do they step.
 *
 * Writes '.' to the first serial port after each round.  Needs 64 MiB.
 *
 * With QUIET defined it writes dots and touches no page: then every snapshot of
 * it has the same size.
 */
        .set FIRST, 0x100000
        .set LAST,  0x4000000
        .set SERIAL, 0x3f8

        .code16
        .globl _start
_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        inb $0x92, %al          /* A20 */
        orb $2, %al
        outb %al, $0x92
        lgdtl gdtr
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $8, $start32

        .code32
start32:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $0x7000, %esp
        .ifndef QUIET
        movl $FIRST, %edi       /* the firmware leaves things lying about */
0:      movl $0, (%edi)
        addl $4096, %edi
        cmpl $LAST, %edi
        jb 0b
        .endif
1:      movl $FIRST, %edi
2:
        .ifndef QUIET
        incl (%edi)
        .endif
        addl $4096, %edi
        cmpl $LAST, %edi
        jb 2b
        movw $SERIAL, %dx
        movb $'.', %al
        outb %al, %dx
        jmp 1b

        .balign 8
gdt:    .quad 0
        .quad 0x00cf9a000000ffff        /* code, 4 GiB */
        .quad 0x00cf92000000ffff        /* data, 4 GiB */
gdtr:   .word gdtr - gdt - 1
        .long gdt

        .org 510
        .word 0xaa55
