/* As OpenSSL's older assembly does it: words between functions that hold the distance from themselves to data. */
    .text
    .globl run
    .type run, %function
run:
    cbz w0, 2f
    ldr x16, 1f
    adr x17, 1f
    add x16, x16, x17
    ldr w9, [x16]
    add w9, w9, w0
    str w9, [x16]
    mov w0, w9
    ret
2:  adr x10, short
    ldrsw x11, [x10]
    add x10, x10, x11
    ldr w0, [x10, #4]
    ret
    .size run, . - run
    .p2align 3
1:  .xword counter - .
short:
    .word counter - .
    .data
    .p2align 3
counter: .word 40, 2
    .section .note.GNU-stack, "", %progbits
