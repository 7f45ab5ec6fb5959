# Hand-written code: without unwind tables, with constants between the functions, with every encoding of an operand.
    .text
    .globl run
    .type run, @function
run:
    .cfi_startproc
    call encodings
    call after_constants
    lea through_pointer(%rip), %rcx
    call *%rcx
    lea constants(%rip), %rcx
    addl 4(%rcx), %eax
    ret
    .cfi_endproc
    .size run, . - run

# Reached by a call only.
encodings:
    movdqa wide(%rip), %xmm0
    pshufd $0x1b, wide(%rip), %xmm1
    cmpb $3, byte(%rip)
    movw $0x1234, half(%rip)
    movl $0x12345678, word(%rip)
    testl $0x11111111, word(%rip)
    imul $77, word(%rip), %eax
    imul $77777, word(%rip), %eax
    shll $3, word(%rip)
    shld $2, %eax, word(%rip)
    jmp 2f
1:  lock
2:  addl $1, word(%rip)
    movl word(%rip), %eax
    ret
    .globl vectors
    .type vectors, @function
vectors:
    vpshufd $0x1b, wide(%rip), %xmm1
    vpternlogd $0x1b, wide(%rip), %zmm2, %zmm3
    vaddps wide(%rip){1to16}, %zmm1, %zmm2
    crc32l word(%rip), %eax
    pinsrd $1, word(%rip), %xmm1
    ret

# Constants in text. A test writes a distance to `lookalike`, which makes them look like `lea word(%rip), %rax`.
    .balign 64
constants:
    .long 0x06060606, 1000, 0x0e0e0e0e
    .byte 0x48, 0x8d, 0x05
lookalike:
    .long 0x06060606
    .byte 0x62, 0x62, 0x62, 0x62
    .balign 16

after_constants:
    movl word(%rip), %eax
    cmpl $0, byte(%rip)
    je 1f
    addl word(%rip), %eax
1:  ret

through_pointer:
    addl word(%rip), %eax
    ret

    .data
    .balign 64
wide: .quad 1, 2, 3, 4, 5, 6, 7, 8
word: .long 99
half: .word 5
byte: .long 3
    .section .note.GNU-stack,"",@progbits
