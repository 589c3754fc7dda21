# shellcheck shell=bash
# Which suites `make test` runs, in order (cheap ones first), and how. Sourced by tools/run-tests, which builds first.
default_suites=(static unit harness cli evidence policy cas volume-tools conformance shield drills apps)
# `make test-thorough` runs these too. They left the default because sanitizer builds, clang-tidy and fuzzers of what is
# several times the code it was would take `make test` beyond an hour on two cores.
thorough_suites=(asan lint fuzz tsan)

# Seconds after which a suite counts as hanging.
limit_of() {
  case $1 in
    lint) echo 2400 ;; # nothing is cached on a fresh checkout
    unit | asan | conformance | apps | volume-tools) echo 1500 ;;
    *) echo 600 ;;
  esac
}

run_suite() {
  case $1 in
    static)
      for check in format check-layers check-sizes check-core selftest; do count_step "$check" "tools/$check"; done
      ;;
    unit) unit_tests release ;;
    asan) build_and asan unit_tests asan ;;
    tsan) build_and tsan unit_tests tsan ;;
    lint) count_step lint tools/lint ;;
    harness)
      count_step apps-selftest tests/apps/selftest/run
      count_step bench-selftest tests/bench/self_test
      ;;
    cli)
      count_suite cli tests/cli/run
      count_suite bad-executables tests/cli/bad-executables
      ;;
    evidence | policy | cas | volume-tools | fuzz | conformance | shield | apps | drills) count_suite "$1" "tests/$1/run" ;;
    *)
      echo "unknown suite $1; there are: ${default_suites[*]} ${thorough_suites[*]}" >&2
      add 0 1 0
      ;;
  esac
}
