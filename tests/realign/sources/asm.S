/* Hand-written aarch64 code: a constant table in text, and a page formed far from its use. */
    .text
    .globl run
    .type run, %function
run:
    adrp x9, hidden
    mov w8, w0
    cbz w8, 1f
    sub w8, w8, #1
1:  adr x10, constants
    and x8, x8, #3
    ldr w11, [x10, x8, lsl #2]
    ldr w12, [x9, #:lo12:hidden]
    add w0, w11, w12
    adrp x9, :got:exported
    ldr x9, [x9, #:got_lo12:exported]
    ldr w9, [x9]
    add w0, w0, w9
    ret
    .size run, . - run
constants:
    .word 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5
    .word 0x00000000, 0xffffffff, 0x90000008, 0xb0000109

    .data
    .p2align 3
    .globl exported
exported: .word 5, 0
pointer: .xword hidden
    .bss
    .local hidden
    .comm hidden, 8, 8
    .section .note.GNU-stack, "", %progbits
