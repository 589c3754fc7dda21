# Which suites `make test` runs, and how. Sourced by tools/run-tests.
default_suites=(unit cli)

run_suite() {
  case $1 in
    unit) unit_tests release ;;
    asan) step build-asan build asan && unit_tests asan || add 0 1 0 ;;
    static) for check in tools/checks/*; do count_step "$(basename "$check")" "$check"; done ;;
    fuzz) step build-fuzz build fuzz && count_suite fuzz tests/fuzz/run || add 0 1 0 ;;
    cli | conformance | apps) count_suite "$1" "tests/$1/run" ;;
    *) echo "unknown suite $1: static unit asan cli fuzz conformance apps" >&2; add 0 1 0 ;;
  esac
}
