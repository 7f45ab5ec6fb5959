/* What gcc leaves in unwind tables: types that no catch clause names any longer, and actions that no call site names. */
    .text
    .globl run
    .type run, %function
run:
    .cfi_startproc
    .cfi_personality 0x9b, reference
    .cfi_lsda 0x1b, without_call_sites
    ret
    .cfi_endproc
    .size run, . - run
other:
    .cfi_startproc
    .cfi_personality 0x9b, reference
    .cfi_lsda 0x1b, with_dead_actions
    ret
    .cfi_endproc
last:
    .cfi_startproc
    .cfi_personality 0x9b, reference
    .cfi_lsda 0x1b, with_a_chain
    ret
    .cfi_endproc

    .section .gcc_except_table, "a", %progbits
    .balign 4
/* No landing pad any longer; padding and a type that, read as actions, name types by the dozen. */
without_call_sites:
    .byte 0xff, 0x9b, 9, 1, 0
    .balign 4
    .long reference - .
1:
    .balign 4
with_dead_actions:
    .byte 0xff, 0x9b
    .uleb128 2f - 1f
1:  .byte 1, 0
    .byte 1, 0, 2, 0x7d, 3, 0x7d
    .balign 4
    .long second - ., 0, reference - .
2:
    .balign 4
/* A catch of types 2 and 1, a cleanup, and an exception specification that lists types 3 and 1. */
with_a_chain:
    .byte 0xff, 0x9b
    .uleb128 2f - 1f
1:  .byte 1
    .uleb128 4f - 3f
3:  .uleb128 0, 1, 0, 3, 1, 1, 0, 5, 2, 1, 0, 0
4:  .byte 1, 0, 2, 0x7d, 0, 0x7d, 0x7f, 0
    .balign 4
    .long second - ., reference - ., second - .
2:  .uleb128 3, 1, 0

    .data
    .balign 8
reference: .quad 1
second: .quad 2
    .section .note.GNU-stack, "", %progbits
