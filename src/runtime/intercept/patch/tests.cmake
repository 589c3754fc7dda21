# Unit tests of the patcher. Paths are relative to src/runtime.
set(patch intercept/patch)
set(patch_core
    ${patch}/decoder.cc
    ${patch}/function_bounds.cc
    ${patch}/site_proof.cc
    ${patch}/patch_plan.cc
    ${patch}/stub.cc
    ${patch}/stub_memory.cc
    ${patch}/code_writer.cc
    ${patch}/patch_table.cc
    ${patch}/site_counter.cc
    ${patch}/patcher.cc
    memory/code_map.cc)
set(patch_double ${patch}/testing/runtime_double.cc)

casemate_unit_test(patch_decoder_test SOURCES ${patch}/decoder.cc ${patch}/decoder_test.cc LINK Zydis)
casemate_unit_test(patch_coverage_test SOURCES ${patch_core} ${patch_double} ${patch}/testing/mapped_elf.cc
                                               ${patch}/coverage_test.cc LINK Zydis)
casemate_unit_test(patch_execution_test SOURCES ${patch_core} ${patch_double} ${patch}/testing/code_page.cc
                                                ${patch}/testing/test_entry.S ${patch}/execution_test.cc)
casemate_unit_test(patch_site_proof_test SOURCES ${patch_core} ${patch_double} ${patch}/site_proof_test.cc)
casemate_unit_test(patch_plan_test SOURCES ${patch}/decoder.cc ${patch}/patch_plan.cc ${patch}/patch_plan_test.cc)
casemate_unit_test(code_map_test SOURCES memory/code_map.cc memory/code_map_test.cc)
