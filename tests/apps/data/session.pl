#!/usr/bin/perl
# Processes, signals, sockets, threads and System V objects from Perl.
use strict;
use warnings;
use threads;
use threads::shared;
use Fcntl qw(:flock SEEK_SET);
use IO::Handle;
use IPC::Open3;
use IPC::SysV qw(IPC_PRIVATE IPC_RMID IPC_CREAT S_IRUSR S_IWUSR);
use POSIX qw(:sys_wait_h);
use Socket;
use Time::HiRes qw(ualarm usleep);

$| = 1;

sub processes {
  my @children = map { my $n = $_; my $pid = fork; exit $n if !$pid; $pid } 1 .. 20;
  my $sum = 0;
  for my $pid (@children) { waitpid $pid, 0; $sum += $? >> 8; }
  print "forked: $sum\n";
  my $pid = open my $child, '-|', 'echo from a pipe; exit 3';
  print 'read: ', <$child>;
  close $child;
  print 'status: ', $? >> 8, "\n";
  my $shell = open3(my $in, my $out, undef, 'sort -n');
  print $in "$_\n" for 3, 1, 2;
  close $in;
  print 'sorted: ', join(' ', map { chomp; $_ } <$out>), "\n";
  waitpid $shell, 0;
  print 'backticks: ', `seq 3 | tr '\\n' ' '`, "\n";
  system 'sh', '-c', 'exit 4';
  print 'system: ', $? >> 8, "\n";
}

sub signals {
  my $count = 0;
  local $SIG{ALRM} = sub { $count++; ualarm 2000 if $count < 25 };
  ualarm 2000;
  usleep 1000 while $count < 25;
  print "alarms: $count\n";
  my $ended = 0;
  local $SIG{CHLD} = sub { $ended++ while waitpid(-1, WNOHANG) > 0 };
  for (1 .. 5) { my $pid = fork; exit 0 if !$pid; }
  usleep 1000 while $ended < 5;
  print "children collected by the handler: $ended\n";
  eval { local $SIG{ALRM} = sub { die "late\n" }; alarm 1; select undef, undef, undef, 30; };
  print "died: $@";
  local $SIG{SEGV} = 'DEFAULT';
}

sub sockets {
  socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
  my $pid = fork;
  if (!$pid) {
    close $ours;
    chomp(my $word = readline $theirs);
    print {$theirs} scalar(reverse $word), "\n";
    close $theirs;
    exit 0;
  }
  close $theirs;
  $ours->autoflush(1);
  print {$ours} "Casemate\n";
  print 'socket: ', readline $ours;
  waitpid $pid, 0;
}

sub system_v {
  my $id = shmget IPC_PRIVATE, 4096, S_IRUSR | S_IWUSR or die "shmget: $!";
  my $semaphores = semget IPC_PRIVATE, 1, S_IRUSR | S_IWUSR | IPC_CREAT or die "semget: $!";
  my $queue = msgget IPC_PRIVATE, S_IRUSR | S_IWUSR or die "msgget: $!";
  my $pid = fork;
  if (!$pid) {
    shmwrite $id, 'written by the child', 0, 30;
    semop $semaphores, pack('s3', 0, 1, 0);
    msgsnd $queue, pack('l! a*', 7, 'message of type 7'), 0;
    exit 0;
  }
  semop $semaphores, pack('s3', 0, -1, 0) or die "semop: $!";
  shmread $id, my $text, 0, 20;
  msgrcv $queue, my $message, 100, 7, 0 or die "msgrcv: $!";
  waitpid $pid, 0;
  shmctl $id, IPC_RMID, 0;
  semctl $semaphores, 0, IPC_RMID, 0;
  msgctl $queue, IPC_RMID, 0;
  print "System V: $text; ", (unpack 'l! a*', $message)[1], "\n";
}

sub interpreter_threads {
  my $total : shared = 0;
  my @threads = map { my $n = $_; threads->create(sub { for (1 .. 200) { lock $total; $total += $n } $n }) } 1 .. 4;
  my $ids = join ' ', map { $_->join } @threads;
  print "threads: $total ($ids)\n";
}

sub files {
  open my $file, '+>', 'perl-file' or die;
  flock $file, LOCK_EX or die;
  printf $file "%05d\n", $_ for 1 .. 1000;
  seek $file, 6 * 499, SEEK_SET;
  print 'line 500: ', scalar <$file>;
  truncate $file, 60;
  print 'size: ', -s $file, "\n";
  close $file;
  print 'syscall getpid: ', (syscall(39) == $$ ? 'same' : 'different'), "\n";
}

processes();
signals();
sockets();
system_v();
interpreter_threads();
files();
exec '/bin/echo', 'end';
