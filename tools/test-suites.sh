# shellcheck shell=bash
# Which suites `make test` runs, in order (cheap ones first), and how. Sourced by tools/run-tests, which builds first.
default_suites=(static unit harness cli evidence policy netshield cas provision container volume-tools conformance
  conformance-volumes shield volume-root drills reproducible apps apps-volume fuzz)
# `make test-thorough` runs these too: with sanitizer builds of all tests and clang-tidy `make test` would take more than an
# hour on two cores.
thorough_suites=(asan lint fuzz-minutes tsan cas-load cas-kills conformance-ephemeral shield-minutes netshield-minutes
  apps-volume-all)

# Seconds after which a suite counts as hanging.
limit_of() {
  case $1 in
    lint) echo 2400 ;; # nothing is cached on a fresh checkout
    unit | asan | fuzz* | cas-kills | conformance* | apps* | volume-tools | netshield-minutes) echo 1500 ;;
    *) echo 600 ;;
  esac
}

# What works on files, memory or sockets, with the working directory in a volume. One build of each case is enough: what
# differs between libcs is the same without volumes.
conformance_in_volume=(tests/conformance/run --base-only --filter '^(files|memory_|sockets|processes_exec)' --fs-volume)

run_suite() {
  case $1 in
    static)
      for check in format check-layers check-sizes check-core selftest; do count_step "$check" "tools/$check"; done
      ;;
    unit) unit_tests release ;;
    asan) build_and asan unit_tests asan ;;
    tsan) build_and tsan unit_tests tsan ;;
    cas-load)
      for preset in asan tsan; do build_and $preset count_step "cas-load-$preset" tests/cas/sanitized-load $preset; done
      ;;
    # As often as the CAS promises it; the suite cas does it a few times.
    cas-kills) count_as cas cas-kills tests/cas/run --filter killed --kills 200 --verbose ;;
    reproducible) count_suite reproducible tools/check-reproducible ;;
    lint) count_step lint tools/lint ;;
    harness)
      count_step apps-selftest tests/apps/selftest/run
      count_step bench-selftest tests/bench/self_test
      ;;
    cli)
      count_suite cli tests/cli/run
      count_suite bad-executables tests/cli/bad-executables
      ;;
    conformance-volumes) count_as conformance conformance-volumes "${conformance_in_volume[@]}" encrypted ;;
    conformance-ephemeral) count_as conformance conformance-ephemeral "${conformance_in_volume[@]}" ephemeral ;;
    # Shells, archives, databases and servers; all cases take twice as long as the suite without volumes.
    apps-volume) count_suite apps-volume tests/apps/run --volume --filter '^(01|03|05|16|17|19|20|21)-' ;;
    apps-volume-all) count_as apps-volume apps-volume-all tests/apps/run --volume ;;
    fuzz) count_suite fuzz tests/fuzz/run 5 ;;
    fuzz-minutes) count_as fuzz fuzz-minutes tests/fuzz/run 60 ;;
    netshield-minutes)
      CASEMATE_STRESS_SECONDS=60 CASEMATE_TESTSSL=1 count_as netshield netshield-minutes tests/netshield/run 'stress|testssl'
      ;;
    shield-minutes) count_as shield shield-minutes tests/shield/run --seconds 300 ;;
    evidence | policy | netshield | cas | provision | container | volume-tools | conformance | shield | volume-root | apps | drills) count_suite "$1" "tests/$1/run" ;;
  esac
}
