/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that brings its VM into a run state: counts in the 32-bit word at
 * 0x8000 and, when that reaches LIMIT, does what ACTION says, then counts on.
 * Whether a single instruction ran shows in the counter.
 *
 *   as --32 --defsym ACTION=N; 0 nothing, 1 suspend, 2 power off, 3 panic,
 *   4 write to the boot disk
 */
        .set LIMIT, 3000000
        .code16
        .globl _start
_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7000, %sp
        movl $0, 0x8000
1:      incl 0x8000
        cmpl $LIMIT, 0x8000
        jne 1b
        .if ACTION == 1                 /* PM1a_CNT: SLP_TYP 1, SLP_EN */
        movw $0x604, %dx
        movw $0x2400, %ax
        outw %ax, %dx
        .elseif ACTION == 2             /* PM1a_CNT: SLP_TYP 0, SLP_EN */
        movw $0x604, %dx
        movw $0x2000, %ax
        outw %ax, %dx
        .elseif ACTION == 3             /* pvpanic */
        movw $0x505, %dx
        movb $1, %al
        outb %al, %dx
        .elseif ACTION == 4             /* BIOS: write sector 2 */
        sti
        movw $0x0301, %ax
        movw $0x9000, %bx
        movw $0x0002, %cx
        movw $0x0080, %dx
        int $0x13
        cli
        .endif
        jmp 1b
        .org 510
        .word 0xaa55
