# Where the program enters the runtime and leaves it. General registers only: vector and mask registers belong to the
# program and stay live throughout. docs/runtime/interception.md explains the regions that signal handlers recognise.

#include "runtime/intercept/layout.h"

    .text

# From a stub. rcx = the program's return address, r11 = where to resume, GS = Thread (the stub checked the cookie).
# No flag may change before pushfq, and nothing below the program's rsp may be touched (red zone).
    .globl casemate_entry_patched
    .hidden casemate_entry_patched
    .type casemate_entry_patched, @function
    .globl casemate_fast_done, casemate_fast_end
    .hidden casemate_fast_done, casemate_fast_end
    .p2align 6
casemate_entry_patched:
    mov   %rcx, %gs:THREAD_REGS_RIP
    mov   %r11, %gs:THREAD_REGS_RESUME
    # Calls that the table passes are made right here, on the program's stack with the program's registers: only rcx, r11
    # and rax change, as natively. A signal handler that finds itself in [entry, fast_done) takes the program as
    # interrupted at its own instruction, in [fast_done, fast_end) as interrupted behind it. No flag may change, so
    # comparisons are additions and jrcxz.
    movzwl %ax, %ecx
    not   %rcx
    lea   1(%rcx,%rax), %rcx        # 0 if rax is a number of 16 bits
    jrcxz 1f
    jmp   casemate_entry_slow
1:  movzwl %ax, %ecx
    lea   casemate_fast_calls(%rip), %r11
    movzbl (%r11,%rcx), %ecx        # 1: passed, 0: not, or not known
    lea   -1(%rcx), %rcx
    jrcxz 2f
    jmp   casemate_entry_slow
2:  mov   %gs:THREAD_PENDING_COUNT, %ecx
    jrcxz 3f
    jmp   casemate_entry_slow
3:  syscall
casemate_fast_done:
    mov   %gs:THREAD_REGS_RIP, %rcx
    jmp   *%gs:THREAD_REGS_RESUME
casemate_fast_end:

    .p2align 5
casemate_entry_slow:
    mov   %gs:THREAD_REGS_RIP, %rcx
    mov   %gs:THREAD_REGS_RESUME, %r11
    mov   %rsp, %gs:THREAD_SCRATCH
    mov   %gs:THREAD_REGS_END, %rsp
    pushfq
    push  %gs:THREAD_SCRATCH
    push  %r11                      # resume
    push  %rcx                      # rip
    push  %rax                      # original_rax
    push  %rax
    push  %rcx
    push  %rdx
    push  %rbx
    push  %rbp
    push  %rsi
    push  %rdi
    push  %r8
    push  %r9
    push  %r10
    push  %gs:THREAD_REGS_RFLAGS    # r11 = rflags, as after a real system call
    push  %r12
    push  %r13
    push  %r14
    push  %r15
    mov   %rsp, %rdi
    lea   -THREAD_REGS(%rsp), %rsp  # the runtime stack begins just below the record
    cld
    movl  $0, %gs:THREAD_ENTRY_KIND
    call  casemate_dispatch
    jmp   casemate_exit_to_program

# From the SIGSYS handler's sigreturn: Thread::regs is filled, rsp = the record's address.
    .globl casemate_entry_trapped
    .hidden casemate_entry_trapped
casemate_entry_trapped:
    lea   THREAD_REGS(%rsp), %rdi
    call  casemate_dispatch
    # falls through

# Leaves to the program. A signal handler that finds itself in [begin, end) rewinds to begin: nothing is consumed before
# the last instruction. Needs only GS.
    .globl casemate_exit_to_program, casemate_exit_end
    .hidden casemate_exit_to_program, casemate_exit_end
casemate_exit_to_program:
    mov   %gs:THREAD_REGS_END, %rsp
    sub   $REGS_SIZE, %rsp
    cmpl  $0, %gs:THREAD_PENDING_COUNT
    jne   casemate_exit_deliver
    pop   %r15
    pop   %r14
    pop   %r13
    pop   %r12
    pop   %r11
    pop   %r10
    pop   %r9
    pop   %r8
    pop   %rdi
    pop   %rsi
    pop   %rbp
    pop   %rbx
    pop   %rdx
    pop   %rcx
    pop   %rax
    lea   32(%rsp), %rsp            # over original_rax, rip, resume, rsp
    popfq
    mov   %gs:THREAD_REGS_RSP, %rsp
    jmp   *%gs:THREAD_REGS_RESUME
casemate_exit_end:

casemate_exit_deliver:
    mov   %rsp, %rdi
    lea   -THREAD_REGS(%rsp), %rsp
    call  casemate_deliver_pending
    jmp   casemate_exit_to_program

# long casemate_guarded_call(long number, const uint64_t* arguments)
    .globl casemate_guarded_call, casemate_guarded_begin, casemate_guarded_syscall, casemate_guarded_abort
    .hidden casemate_guarded_call, casemate_guarded_begin, casemate_guarded_syscall, casemate_guarded_abort
    .type casemate_guarded_call, @function
    .p2align 5
casemate_guarded_call:
    mov   %rdi, %rax
    mov   %rsi, %r11
    mov   (%r11), %rdi
    mov   8(%r11), %rsi
    mov   16(%r11), %rdx
    mov   24(%r11), %r10
    mov   32(%r11), %r8
    mov   40(%r11), %r9
casemate_guarded_begin:
    cmpl  $0, %gs:THREAD_PENDING_COUNT
    jne   casemate_guarded_abort
casemate_guarded_syscall:
    syscall
    ret
casemate_guarded_abort:
    mov   $CASEMATE_RESTART_CALL, %rax
    ret

# Restorer of the kernel's frames for our handlers.
    .globl casemate_restorer
    .hidden casemate_restorer
    .type casemate_restorer, @function
casemate_restorer:
    mov   $15, %eax
    syscall
    hlt

# [[noreturn]] void casemate_program_sigreturn(uint64_t frame_stack_pointer): the kernel restores the program from its
# own frame. Signals are blocked until the kernel installs the frame's mask.
    .globl casemate_program_sigreturn
    .hidden casemate_program_sigreturn
casemate_program_sigreturn:
    mov   %rdi, %rsp
    mov   $15, %eax
    syscall
    hlt

# long casemate_clone(number, a1, a2, a3, a4, a5, child_record): the child (if it has a stack of its own, at the record)
# continues in casemate_child_start with rsp = its record. Registers: rdi number, rsi a1, rdx a2, rcx a3, r8 a4, r9 a5,
# 8(%rsp) child_record.
    .globl casemate_clone
    .hidden casemate_clone
    .type casemate_clone, @function
casemate_clone:
    push  %rbx
    mov   16(%rsp), %rbx
    mov   %rdi, %rax
    mov   %rsi, %rdi
    mov   %rdx, %rsi
    mov   %rcx, %rdx
    mov   %r8, %r10
    mov   %r9, %r8
    syscall
    test  %rax, %rax
    jz    1f
    pop   %rbx
    ret
1:  test  %rbx, %rbx
    jz    2f                        # fork: same stack (a copy), returns like the parent
    mov   %rbx, %rsp
    mov   %rbx, %rdi
    call  casemate_child_start      # arms this task; then its registers take it to the program
    mov   %rsp, %rax
    jmp   casemate_exit_to_program
2:  pop   %rbx
    ret

# [[noreturn]] void casemate_exit_thread(uint32_t* state, int status): marks the block free and exits without touching
# its stack again. Signals are blocked.
    .globl casemate_exit_thread
    .hidden casemate_exit_thread
casemate_exit_thread:
    mov   %rdi, %rdx
    mov   %esi, %edi
    mov   $60, %eax
    movl  $0, (%rdx)
    syscall
    hlt

# [[noreturn]] void casemate_switch_stack(stack, function, argument)
    .globl casemate_switch_stack
    .hidden casemate_switch_stack
casemate_switch_stack:
    mov   %rdi, %rsp
    mov   %rdx, %rdi
    call  *%rsi
    hlt

# long casemate_copy(destination, source, size): 0, or -14 when any byte faults. The handler moves RIP in
# [begin, end) to casemate_copy_fault.
    .globl casemate_copy, casemate_copy_end, casemate_copy_fault
    .hidden casemate_copy, casemate_copy_end, casemate_copy_fault
    .type casemate_copy, @function
casemate_copy:
    mov   %rdx, %rcx
    rep movsb
    xor   %eax, %eax
    ret
# long casemate_copy_string(destination, source, capacity): length, or -14, or -36
    .globl casemate_copy_string
    .hidden casemate_copy_string
casemate_copy_string:
    xor   %eax, %eax
1:  cmp   %rdx, %rax
    jae   2f
    movzbl (%rsi,%rax), %ecx
    mov   %cl, (%rdi,%rax)
    test  %cl, %cl
    jz    3f
    inc   %rax
    jmp   1b
2:  mov   $-36, %rax
3:  ret
# long casemate_xsave(address, features): the program's live extended state to program memory
    .globl casemate_xsave
    .hidden casemate_xsave
casemate_xsave:
    mov   %esi, %eax
    mov   %rsi, %rdx
    shr   $32, %rdx
    xsave64 (%rdi)
    xor   %eax, %eax
    ret
casemate_copy_end:
casemate_copy_fault:
    cld
    mov   $-14, %rax
    ret

# void casemate_xrstor(image, features)
    .globl casemate_xrstor
    .hidden casemate_xrstor
casemate_xrstor:
    mov   %esi, %eax
    mov   %rsi, %rdx
    shr   $32, %rdx
    xrstor64 (%rdi)
    ret

# The kernel starts us here: rsp -> argc.
    .globl _start
    .type _start, @function
_start:
    xor   %ebp, %ebp
    mov   %rsp, %rdi
#ifdef __PIE__
    lea   _DYNAMIC(%rip), %rsi
#else
    xor   %esi, %esi                # linked at a fixed address: nothing to relocate
#endif
    and   $-16, %rsp
    call  casemate_boot
    hlt

    .hidden _DYNAMIC
    .weak _DYNAMIC
    .section .note.GNU-stack, "", @progbits
