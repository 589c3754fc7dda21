// A CAS of one test: store, owner, sessions, activator.
#pragma once

#include <memory>
#include <string>

#include "cas/service/activation.h"
#include "cas/sessions/tables.h"
#include "cas/store/testing/temporary_directory.h"

namespace casemate::cas::testing_support {

struct SimulatedCas {
  explicit SimulatedCas(
      Activator::Refused refused = [](const ActivationRefusal&) {}, EvidenceBasis basis = {},
      Activator::Clock clock = system_time) {
    method = unseal_with_new_key_file(directory.path() + "/key").value();
    StoreOptions options;
    options.directory = directory.path() + "/store";
    store = Store::create(options, {method.get()}).value();
    Change claim;
    claim.rows.push_back({number_of(Table::kServer), kOwnerRow, "",
                          SecretValue::copy_of(crypto::ByteView(digest_from_hex(owner.key_hash))), kAbsent});
    if (!store->commit(std::move(claim))) std::abort();
    registry = SessionRegistry::open(*store, {}).value();
    activator = std::make_unique<Activator>(*store, *registry, std::move(refused), std::move(basis), std::move(clock));
  }

  // "" when the session was stored, otherwise why not.
  std::string put(const std::string& name, const std::string& text) {
    const auto done = registry->put({name, text, {}, "", BreakGlass::kNo}, owner);
    if (done) return "";
    std::string why = done.error().message;
    for (const auto& finding : done.error().findings) why += "\n" + policy::to_text(finding, "text");
    return why;
  }

  policy::Caller owner{std::string(64, '1'), ""};
  TemporaryDirectory directory;
  std::unique_ptr<UnsealMethod> method;
  std::unique_ptr<Store> store;
  std::unique_ptr<SessionRegistry> registry;
  std::unique_ptr<Activator> activator;
};

}  // namespace casemate::cas::testing_support
