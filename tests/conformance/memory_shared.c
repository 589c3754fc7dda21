// Memory that processes share: MAP_SHARED, memfd, POSIX shared memory, System V shared memory, semaphores and messages,
// POSIX message queues.
#include "case.h"
#include "faults.h"

#include <linux/memfd.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { kPage = 4096 };

union semaphore_argument {
  int value;
  struct semid_ds* buffer;
  unsigned short* array;
};

CASE(shared_anonymous_memory_is_seen_by_child_and_parent) {
  volatile int* shared = shared_page();
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    shared[0] = 1;
    WAIT_UNTIL(shared[1] == 1);
    shared[2] = shared[1] + 1;
    _exit(0);
  }
  WAIT_UNTIL(shared[0] == 1);
  shared[1] = 1;
  check_exited(child, 0);
  CHECK_EQ(shared[2], 2);
}

CASE(shared_file_mapped_by_two_processes) {
  int fd = open_file_of_size("shared", kPage);
  volatile int* mine = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int own = CHECK_OK(open("shared", O_RDWR));
    volatile int* theirs = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    for (int i = 1; i <= 100; ++i) {
      WAIT_UNTIL(theirs[0] == i);
      theirs[1] = i;
    }
    _exit(0);
  }
  for (int i = 1; i <= 100; ++i) {
    mine[0] = i;
    WAIT_UNTIL(mine[1] == i);
  }
  check_exited(child, 0);
}

HELPER(map_inherited) {
  int fd = atoi(argv[1]);
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED);
  CHECK_STREQ(at, "from parent");
  strcpy(at, "from helper");
  return 0;
}

CASE(memfd_is_shared_across_exec) {
  int fd = CHECK_OK(memfd_create("shared", 0));
  CHECK_OK(ftruncate(fd, kPage));
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  strcpy(at, "from parent");
  char number[16];
  snprintf(number, sizeof number, "%d", fd);
  check_exited(start_helper(-1, "map_inherited", number, NULL), 0);
  CHECK_STREQ(at, "from helper");
}

CASE(memfd_has_its_name_and_size) {
  int fd = CHECK_OK(memfd_create("a name", MFD_CLOEXEC));
  char link[64], target[128];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = CHECK_OK(readlink(link, target, sizeof target - 1));
  target[size] = 0;
  CHECK_STREQ(target, "/memfd:a name (deleted)");
  CHECK_EQ(write(fd, "12345", 5), 5);
  struct stat status;
  CHECK_OK(fstat(fd, &status));
  CHECK_EQ(status.st_size, 5);
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  CHECK_FAILS(memfd_create("x", 0x8000), EINVAL);
}

CASE(memfd_seals_are_enforced) {
  int fd = CHECK_OK(memfd_create("sealed", MFD_ALLOW_SEALING));
  CHECK_OK(ftruncate(fd, kPage));
  CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  CHECK_FAILS(ftruncate(fd, 0), EPERM);
  CHECK_FAILS(ftruncate(fd, 2 * kPage), EPERM);
  char* writable = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  CHECK_OK(munmap(writable, kPage));
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
  CHECK_FAILS(write(fd, "x", 1), EPERM);
  CHECK_FAILS(mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
  CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

CASE(memfd_without_sealing_is_sealed) {
  int fd = CHECK_OK(memfd_create("plain", 0));
  CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
  CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
}

CASE(posix_shared_memory_between_processes) {
  char name[64];
  snprintf(name, sizeof name, "/conformance-%d", getpid());
  int fd = CHECK_OK(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
  CHECK_FAILS(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
  CHECK_OK(ftruncate(fd, kPage));
  char* at = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int own = CHECK_OK(shm_open(name, O_RDWR, 0));
    char* theirs = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    strcpy(theirs + 100, "child");
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_STREQ(at + 100, "child");
  CHECK_OK(shm_unlink(name));
  CHECK_FAILS(shm_open(name, O_RDWR, 0), ENOENT);
}

static pthread_mutexattr_t shared_mutex_attributes(void) {
  pthread_mutexattr_t attributes;
  CHECK_EQ(pthread_mutexattr_init(&attributes), 0);
  CHECK_EQ(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), 0);
  return attributes;
}

CASE(process_shared_mutex_excludes_four_processes) {
  struct {
    pthread_mutex_t mutex;
    volatile long counter;
  }* shared = shared_page();
  pthread_mutexattr_t attributes = shared_mutex_attributes();
  CHECK_EQ(pthread_mutex_init(&shared->mutex, &attributes), 0);
  pid_t children[4];
  for (int i = 0; i < 4; ++i) {
    children[i] = CHECK_OK(fork());
    if (children[i] != 0) continue;
    for (int n = 0; n < 5000; ++n) {
      pthread_mutex_lock(&shared->mutex);
      shared->counter = shared->counter + 1;
      pthread_mutex_unlock(&shared->mutex);
    }
    _exit(0);
  }
  for (int i = 0; i < 4; ++i) check_exited(children[i], 0);
  CHECK_EQ(shared->counter, 20000);
}

CASE(process_shared_condition_hands_over) {
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    int turn;
  }* shared = shared_page();
  pthread_mutexattr_t attributes = shared_mutex_attributes();
  pthread_condattr_t condition_attributes;
  pthread_condattr_init(&condition_attributes);
  CHECK_EQ(pthread_condattr_setpshared(&condition_attributes, PTHREAD_PROCESS_SHARED), 0);
  CHECK_EQ(pthread_mutex_init(&shared->mutex, &attributes), 0);
  CHECK_EQ(pthread_cond_init(&shared->condition, &condition_attributes), 0);
  pid_t child = CHECK_OK(fork());
  int own = child == 0 ? 1 : 0;
  for (int i = 0; i < 500; ++i) {
    pthread_mutex_lock(&shared->mutex);
    while (shared->turn % 2 != own) pthread_cond_wait(&shared->condition, &shared->mutex);
    ++shared->turn;
    pthread_cond_signal(&shared->condition);
    pthread_mutex_unlock(&shared->mutex);
  }
  if (child == 0) _exit(0);
  check_exited(child, 0);
  CHECK_EQ(shared->turn, 1000);
}

CASE(process_shared_semaphore_in_shared_file) {
  int fd = open_file_of_size("semaphore", kPage);
  sem_t* semaphore = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK_OK(sem_init(semaphore, 1, 0));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    int own = CHECK_OK(open("semaphore", O_RDWR));
    sem_t* theirs = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    for (int i = 0; i < 100; ++i) CHECK_OK(sem_wait(theirs));
    _exit(0);
  }
  for (int i = 0; i < 100; ++i) CHECK_OK(sem_post(semaphore));
  check_exited(child, 0);
}

CASE(named_semaphore_wakes_other_process) {
  char name[64];
  snprintf(name, sizeof name, "/conformance-sem-%d", getpid());
  sem_t* semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
  CHECK(semaphore != SEM_FAILED);
  pid_t child = CHECK_OK(fork());
  if (child == 0) _exit(sem_post(sem_open(name, 0)) == 0 ? 0 : 1);
  CHECK_OK(sem_wait(semaphore));
  check_exited(child, 0);
  CHECK_OK(sem_unlink(name));
}

CASE(system_v_shared_memory_between_processes) {
  int id = CHECK_OK(shmget(IPC_PRIVATE, 3 * kPage, IPC_CREAT | 0600));
  char* at = shmat(id, NULL, 0);
  CHECK(at != (void*)-1);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));  // gone with the last detach, also when the case fails
  CHECK_EQ(at[2 * kPage], 0);
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    strcpy(at, "child");
    _exit(0);
  }
  check_exited(child, 0);
  CHECK_STREQ(at, "child");
  struct shmid_ds status;
  CHECK_OK(shmctl(id, IPC_STAT, &status));
  CHECK_EQ(status.shm_nattch, 1);
  CHECK_EQ(status.shm_segsz, 3 * kPage);
  CHECK_EQ(status.shm_cpid, getpid());
  CHECK_OK(shmdt(at));
  CHECK_FAILS(shmctl(id, IPC_STAT, &status), EINVAL);
  CHECK_FAULT_AT(load_byte(at), SIGSEGV, SEGV_MAPERR, at);
}

HELPER(count_attached) {
  struct shmid_ds status;
  CHECK_OK(shmctl(atoi(argv[1]), IPC_STAT, &status));
  return (int)status.shm_nattch;
}

CASE(system_v_shared_memory_detaches_on_exec) {
  int id = CHECK_OK(shmget(IPC_PRIVATE, kPage, IPC_CREAT | 0600));
  char* at = shmat(id, NULL, 0);
  CHECK(at != (void*)-1);
  char number[16];
  snprintf(number, sizeof number, "%d", id);
  pid_t child = start_helper(-1, "count_attached", number, NULL);
  int status = wait_status_of(child);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_EQ(WEXITSTATUS(status), 1);
}

CASE(system_v_attach_address_and_readonly) {
  int id = CHECK_OK(shmget(IPC_PRIVATE, 2 * kPage, IPC_CREAT | 0600));
  char* place = mmap(NULL, 4 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_FAILS((long)shmat(id, place, 0), EINVAL);
  char* replaced = shmat(id, place, SHM_REMAP);
  char* readable = shmat(id, NULL, SHM_RDONLY);
  CHECK_OK(shmctl(id, IPC_RMID, NULL));
  CHECK_EQ(replaced, place);
  replaced[0] = 6;
  CHECK_EQ(readable[0], 6);
  CHECK_FAULT(store_byte(readable, 1), SIGSEGV, SEGV_ACCERR);
  CHECK_FAILS(shmdt(readable + 1), EINVAL);
}

CASE(system_v_semaphore_blocks_and_wakes) {
  int id = CHECK_OK(semget(IPC_PRIVATE, 2, IPC_CREAT | 0600));
  pid_t child = CHECK_OK(fork());
  struct sembuf take = {0, -2, 0}, give = {0, 1, 0}, done = {1, 1, 0}, wait_done = {1, -1, 0};
  if (child == 0) {
    CHECK_OK(semop(id, &take, 1));
    CHECK_OK(semop(id, &done, 1));
    _exit(0);
  }
  CHECK_OK(semop(id, &give, 1));
  CHECK_OK(semop(id, &give, 1));
  CHECK_OK(semop(id, &wait_done, 1));
  check_exited(child, 0);
  CHECK_EQ(semctl(id, 0, GETVAL), 0);
  struct sembuf no_wait = {0, -1, IPC_NOWAIT};
  CHECK_FAILS(semop(id, &no_wait, 1), EAGAIN);
  struct timespec moment = {0, 1000000};
  CHECK_FAILS(semtimedop(id, &take, 1, &moment), EAGAIN);
  CHECK_OK(semctl(id, 0, IPC_RMID));
  CHECK_FAILS(semctl(id, 0, GETVAL), EINVAL);
}

CASE(system_v_semaphore_undo_on_exit_and_kill) {
  int id = CHECK_OK(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
  CHECK_OK(semctl(id, 0, SETVAL, (union semaphore_argument){.value = 5}));
  struct sembuf take = {0, -3, SEM_UNDO};
  volatile int* taken = shared_page();
  for (int killed = 0; killed < 2; ++killed) {
    *taken = 0;
    pid_t child = CHECK_OK(fork());
    if (child == 0) {
      CHECK_OK(semop(id, &take, 1));
      *taken = 1;
      if (killed) pause();
      _exit(0);
    }
    WAIT_UNTIL(*taken);
    if (killed) {
      CHECK_EQ(semctl(id, 0, GETVAL), 2);
      CHECK_OK(kill(child, SIGKILL));
    }
    wait_status_of(child);
    CHECK_EQ(semctl(id, 0, GETVAL), 5);
  }
  CHECK_OK(semctl(id, 0, IPC_RMID));
}

CASE(system_v_semaphore_removed_while_waiting) {
  int id = CHECK_OK(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    struct sembuf take = {0, -1, 0};
    CHECK_FAILS(semop(id, &take, 1), EIDRM);
    _exit(0);
  }
  WAIT_UNTIL(semctl(id, 0, GETNCNT) == 1);
  CHECK_OK(semctl(id, 0, IPC_RMID));
  check_exited(child, 0);
}

CASE(system_v_messages_by_type) {
  int id = CHECK_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
  struct {
    long type;
    char text[32];
  } message = {1, ""};
  for (int i = 1; i <= 3; ++i) {
    message.type = i;
    snprintf(message.text, sizeof message.text, "message %d", i);
    CHECK_OK(msgsnd(id, &message, sizeof message.text, 0));
  }
  CHECK_EQ(msgrcv(id, &message, sizeof message.text, 2, 0), 32);
  CHECK_STREQ(message.text, "message 2");
  CHECK_EQ(msgrcv(id, &message, sizeof message.text, -3, 0), 32);
  CHECK_STREQ(message.text, "message 1");
  CHECK_FAILS(msgrcv(id, &message, 4, 0, 0), E2BIG);
  CHECK_EQ(msgrcv(id, &message, 4, 0, MSG_NOERROR), 4);
  CHECK_FAILS(msgrcv(id, &message, sizeof message.text, 0, IPC_NOWAIT), ENOMSG);
  CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

CASE(system_v_message_wakes_receiver) {
  int id = CHECK_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
  struct {
    long type;
    int value;
  } message = {1, 0};
  pid_t child = CHECK_OK(fork());
  if (child == 0) {
    CHECK_EQ(msgrcv(id, &message, sizeof message.value, 7, 0), sizeof message.value);
    _exit(message.value);
  }
  message.type = 7;
  message.value = 33;
  CHECK_OK(msgsnd(id, &message, sizeof message.value, 0));
  check_exited(child, 33);
  CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

CASE(posix_message_queue_by_priority) {
  char name[64];
  snprintf(name, sizeof name, "/conformance-%d", getpid());
  struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 64};
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
  if (queue == -1 && errno == ENOSYS) SKIP("no POSIX message queues in this kernel");
  CHECK_OK(queue);
  CHECK_OK(mq_unlink(name));
  char buffer[64];
  unsigned priority;
  CHECK_FAILS(mq_receive(queue, buffer, 64, &priority), EAGAIN);
  CHECK_OK(mq_send(queue, "low", 4, 1));
  CHECK_OK(mq_send(queue, "high", 5, 9));
  CHECK_EQ(mq_receive(queue, buffer, 64, &priority), 5);
  CHECK_STREQ(buffer, "high");
  CHECK_EQ(priority, 9);
  CHECK_FAILS(mq_receive(queue, buffer, 10, &priority), EMSGSIZE);
  for (int i = 0; i < 3; ++i) CHECK_OK(mq_send(queue, "x", 2, 0));
  CHECK_FAILS(mq_send(queue, "x", 2, 0), EAGAIN);
}
