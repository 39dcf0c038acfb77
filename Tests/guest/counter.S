# A guest that computes: firmware of 64 KiB that does nothing but change memory in a known order.
#
# It is given to QEMU as -bios, so it needs no disk and no other firmware, and runs alike on pc and q35,
# under KVM and TCG. From the reset vector it enters 32-bit protected mode and then goes round and round
# over the pages from FIRST to LAST, adding 1 to the first byte of each. With N rounds complete and the
# next page at P, the first byte of a page is
#     N + 1 (mod 256)    below P
#     N     (mod 256)    from P on
# so whoever reads the memory of a stopped guest can check every page, and see how far it was. (A guest
# may stop between two instructions: one page can be ahead of P, and N ahead of P at the end of a round.)
#
# Before it touches a page the guest itself checks the byte and a mark that it left in the page at the
# start. It keeps N and P in registers and in memory, and compares them: a guest whose memory and
# processor don't come from the same moment counts errors. A guest that begins again from the reset
# vector counts a second start.
#
# What a test reads (little-endian words of 32 bits, at STATE):
#     +0   "CNTR"        present once the marks are written
#     +4   rounds complete
#     +8   address of the next page
#     +12  errors found by the guest
#     +16  starts
# On the first serial port it writes 'A' once and a 'B' every 16 rounds.

        .set    STATE,  0x1000
        .set    FIRST,  0x100000
        .set    LAST,   0x1000000
        .set    PAGE,   0x1000
        .set    MARK,   0x5ca1ab1e
        .set    COM1,   0x3f8
        .set    BASE,   0xf0000         # the firmware's copy below 1 MiB; the reset vector lies below 4 GiB

        .text
        .globl  _start
_start:

        .code32
flat:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        xorl    %ebp, %ebp              # errors
        incl    STATE+16

        movl    $FIRST, %esi
mark:   movl    %esi, %eax
        xorl    $MARK, %eax
        movl    %eax, 8(%esi)
        addl    $PAGE, %esi
        cmpl    $LAST, %esi
        jb      mark

        movl    $0x52544e43, STATE      # "CNTR"
        movw    $COM1, %dx
        movb    $'A', %al
        outb    %al, %dx

        xorl    %ebx, %ebx              # rounds complete
round:  movl    $FIRST, %esi            # the next page
page:   cmpl    %ebx, STATE+4
        jne     wrong
        cmpb    %bl, (%esi)
        jne     wrong
        movl    %esi, %eax
        xorl    $MARK, %eax
        cmpl    %eax, 8(%esi)
        je      right
wrong:  incl    %ebp
        movl    %ebp, STATE+12
right:
        incb    (%esi)
        addl    $PAGE, %esi
        movl    %esi, STATE+8
        cmpl    $LAST, %esi
        jb      page

        incl    %ebx
        movl    %ebx, STATE+4
        testl   $15, %ebx
        jnz     round
        movw    $COM1, %dx
        movb    $'B', %al
        outb    %al, %dx
        jmp     round

        .code16
real:
        cli
        movl    $(BASE + table_pointer - _start), %ebx
        lgdtl   %cs:(table_pointer - _start)
        movl    %cr0, %eax
        andl    $0x9fffffff, %eax       # caches on: they are off after a reset
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $(BASE + flat - _start)

        .balign 8
table:                                  # null, flat code, flat data; marked as accessed already, for
        .quad   0                       # the processor cannot set that mark in read-only memory
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
table_pointer:
        .word   . - table - 1
        .long   BASE + table - _start

        .org    0xfff0                  # the reset vector
        ljmp    $(BASE >> 4), $(real - _start)
        .org    0x10000
