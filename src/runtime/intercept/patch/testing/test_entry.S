# A stand-in for the runtime's entry point, and a harness that runs a piece of code with every register set.
# GS base points to a struct TestThread (execution_test.cc): cookie, stack top, scratch, resume, calls.

    .text
# Contract of patcher.h: rcx = return address, r11 = resume. Makes the call itself.
    .globl test_entry
    .type test_entry, @function
test_entry:
    mov   %rsp, %gs:16
    mov   %gs:8, %rsp
    pushfq
    incq  %gs:32
    popfq
    mov   %r11, %gs:24
    push  %rcx
    syscall
    pop   %rcx                    # the call left flags in r11 already
    mov   %gs:16, %rsp
    jmp   *%gs:24

# void run_with_registers(void (*code)(), Registers* in_out)
# Registers: rax rbx rcx rdx rsi rdi rbp r8..r15 rflags (8 bytes each), xmm0..xmm15 (16 bytes each), the red zone's
# word as the code left it.
    .globl run_with_registers
    .type run_with_registers, @function
run_with_registers:
    push  %rbx
    push  %rbp
    push  %r12
    push  %r13
    push  %r14
    push  %r15
    push  %rsi
    push  %rdi
    mov   %rsi, %rax
    .set i, 0
    .rept 16
    .altmacro
    .macro load_vector n
    movups (128 + 16 * \n)(%rax), %xmm\n
    .endm
    load_vector %i
    .purgem load_vector
    .set i, i + 1
    .endr
    mov   8(%rax), %rbx
    mov   16(%rax), %rcx
    mov   24(%rax), %rdx
    mov   32(%rax), %rsi
    mov   40(%rax), %rdi
    mov   48(%rax), %rbp
    mov   56(%rax), %r8
    mov   64(%rax), %r9
    mov   72(%rax), %r10
    mov   80(%rax), %r11
    mov   88(%rax), %r12
    mov   96(%rax), %r13
    mov   104(%rax), %r14
    mov   112(%rax), %r15
    pushq 120(%rax)
    popfq
    mov   (%rax), %rax
    movq  $0x3c3c3c3c, -64(%rsp)  # in the red zone of the code under test
    call  *(%rsp)
    pushfq
    push  %rax
    mov   24(%rsp), %rax          # in_out
    mov   %rbx, 8(%rax)
    mov   %rcx, 16(%rax)
    mov   %rdx, 24(%rax)
    mov   %rsi, 32(%rax)
    mov   %rdi, 40(%rax)
    mov   %rbp, 48(%rax)
    mov   %r8, 56(%rax)
    mov   %r9, 64(%rax)
    mov   %r10, 72(%rax)
    mov   %r11, 80(%rax)
    mov   %r12, 88(%rax)
    mov   %r13, 96(%rax)
    mov   %r14, 104(%rax)
    mov   %r15, 112(%rax)
    pop   (%rax)
    pop   120(%rax)
    pushq $0x202                  # a trap flag under test must not stay
    popfq
    mov   -64(%rsp), %rcx
    mov   %rcx, 384(%rax)
    .set i, 0
    .rept 16
    .macro store_vector n
    movups %xmm\n, (128 + 16 * \n)(%rax)
    .endm
    store_vector %i
    .purgem store_vector
    .set i, i + 1
    .endr
    pop   %rdi
    pop   %rsi
    pop   %r15
    pop   %r14
    pop   %r13
    pop   %r12
    pop   %rbp
    pop   %rbx
    ret
    .section .note.GNU-stack, "", @progbits
