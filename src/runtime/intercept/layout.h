// Offsets that assembly and stubs know. thread.cc asserts that each equals what the compiler laid out.
#pragma once

#define THREAD_GS_COOKIE 0
#define THREAD_REGS_END 8
#define THREAD_PENDING_COUNT 16
#define THREAD_ENTRY_KIND 20
#define THREAD_SCRATCH 24
#define THREAD_REGS 32
#define REGS_SIZE 160
#define REGS_R11 32
#define REGS_RIP 128
#define REGS_RESUME 136
#define REGS_RSP 144
#define REGS_RFLAGS 152
#define THREAD_REGS_RIP (THREAD_REGS + REGS_RIP)
#define THREAD_REGS_RSP (THREAD_REGS + REGS_RSP)
#define THREAD_REGS_RESUME (THREAD_REGS + REGS_RESUME)
#define THREAD_REGS_RFLAGS (THREAD_REGS + REGS_RFLAGS)

#define CASEMATE_RESTART_CALL -100000
