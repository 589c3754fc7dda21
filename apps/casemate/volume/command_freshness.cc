// Freshness by hand: what the anchor says about a volume, and the legitimate way back to an older state.
//
// The anchor is what makes an old copy of a volume worthless to who stole or restored it. Setting it back is therefore
// never a side effect: `accept` shows first what is lost, and then wants the state named.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <tuple>

#include "casemate/subcommands.h"
#include "casemate/volume/attempt.h"
#include "casemate/volume/commands.h"
#include "casemate/volume/opening.h"
#include "casemate/volume/text.h"

namespace casemate::volume_tool {
namespace {

using volume::Access;
using volume::Position;

enum class Relation { kNothingAnchored, kSame, kAhead, kBehind, kOtherChain };

struct RelationText {
  Relation relation;
  const char* word;  // for programs
  const char* meaning;
};

constexpr RelationText kRelations[] = {
    {Relation::kNothingAnchored, "nothing-anchored", "the anchor remembers nothing yet; `anchor --set` starts it"},
    {Relation::kSame, "same", "the volume is in exactly the anchored state"},
    {Relation::kAhead, "ahead", "the volume is newer than the anchor; a mount decides whether it continues it"},
    {Relation::kBehind, "behind",
     "the volume is OLDER than its anchor: it was rolled back or restored; see `casemate volume accept --help`"},
    {Relation::kOtherChain, "other-chain",
     "the volume has another history than its anchor: a fork, or another volume; see `casemate volume accept --help`"},
};

Relation relation(const std::optional<Position>& anchored, const Position& found) {
  if (!anchored.has_value()) return Relation::kNothingAnchored;
  if (*anchored == found) return Relation::kSame;
  const auto anchored_order = std::tie(anchored->epoch, anchored->sequence);
  const auto found_order = std::tie(found.epoch, found.sequence);
  if (anchored_order == found_order) return Relation::kOtherChain;
  return anchored_order < found_order ? Relation::kAhead : Relation::kBehind;
}

const RelationText& text_of(Relation wanted) {
  for (const RelationText& row : kRelations) {
    if (row.relation == wanted) return row;
  }
  return kRelations[0];
}

std::string shown(const std::optional<Position>& position) {
  return position.has_value() ? to_text(*position) : "nothing";
}

Result<void> require_anchor(const Options& options, const char* command) {
  if (!options.anchor.empty()) return {};
  return Error(ErrorCategory::kUsage, fmt::format("{}: name the anchor: --anchor FILE", command));
}

// What the volume itself claims, whatever the anchor says about it, and what the anchor says.
struct Claims {
  Position position;
  volume::Information information;
  std::unique_ptr<volume::Anchor> anchor;
  std::optional<Position> anchored;
  std::string anchor_trouble;  // why the anchor cannot be read; empty when it can
};

Result<Claims> claims_of(const Options& options) {
  Credentials credentials = credentials_of(options);
  credentials.anchor.clear();
  auto opened = CASEMATE_TRY(
      OpenedVolume::open(options, credentials, options.operands.front(), Access::kReadOnly, FreshnessNotice::kSilent));
  Claims claims{.position = opened->engine().position(),
                .information = opened->engine().information(),
                .anchor = CASEMATE_TRY(opened->anchor_in(options.anchor)),
                .anchored = std::nullopt,
                .anchor_trouble = ""};
  claims.anchor->bind(claims.information.volume_id);
  auto anchored = claims.anchor->load();
  if (anchored.has_value()) {
    claims.anchored = anchored.value();
  } else if (anchored.error().category() == ErrorCategory::kFormat) {
    claims.anchor_trouble = anchored.error().message();
  } else {
    return anchored.error();
  }
  CASEMATE_ATTEMPT(opened->close());
  return claims;
}

Result<int> show_anchor(const Options& options) {
  const Claims claims = CASEMATE_TRY(claims_of(options));
  if (!claims.anchor_trouble.empty()) return Error(ErrorCategory::kFormat, claims.anchor_trouble);
  const RelationText& text = text_of(relation(claims.anchored, claims.position));
  if (options.json) {
    nlohmann::ordered_json document;
    document["anchor"] = nullptr;
    if (claims.anchored.has_value()) document["anchor"] = to_text(*claims.anchored);
    document["volume"] = to_text(claims.position);
    document["relation"] = text.word;
    std::printf("%s\n", document.dump(2).c_str());
  } else {
    std::printf("anchor   %s\nvolume   %s\n%s\n", shown(claims.anchored).c_str(), to_text(claims.position).c_str(),
                text.meaning);
  }
  const bool refused = text.relation == Relation::kBehind || text.relation == Relation::kOtherChain;
  return refused ? cli::kExitNo : 0;
}

Result<int> set_anchor(const Options& options) {
  const Claims claims = CASEMATE_TRY(claims_of(options));
  if (!claims.anchor_trouble.empty()) return Error(ErrorCategory::kFormat, claims.anchor_trouble);
  if (claims.anchored.has_value()) {
    // Mounted with the anchor: the engine refuses what is older, or no continuation.
    auto opened =
        CASEMATE_TRY(OpenedVolume::open(options, credentials_of(options), options.operands.front(), Access::kReadOnly));
    CASEMATE_ATTEMPT(opened->close());
  }
  CASEMATE_ATTEMPT(claims.anchor->store(claims.position));
  if (!options.quiet) std::printf("anchored %s\n", to_text(claims.position).c_str());
  return 0;
}

std::string losses(const Position& anchored, const Position& found) {
  if (anchored.epoch > found.epoch) {
    return fmt::format("epochs {} to {} ({} records)", found.epoch + 1, anchored.epoch,
                       anchored.sequence - found.sequence);
  }
  return fmt::format("{} records of epoch {}", anchored.sequence - found.sequence, found.epoch);
}

bool names_state(const Options& options, const Claims& claims) {
  if (!options.root_tag.empty()) {
    return claims.information.sealed && options.root_tag == to_hex(claims.information.root_tag);
  }
  return options.position == to_text(claims.position);
}

void tell_losses(const Claims& claims, Relation found) {
  std::printf("anchor   %s\nvolume   %s\n",
              claims.anchor_trouble.empty() ? shown(claims.anchored).c_str() : printable(claims.anchor_trouble).c_str(),
              to_text(claims.position).c_str());
  if (found == Relation::kBehind)
    std::printf("accepting loses %s\n", losses(*claims.anchored, claims.position).c_str());
  if (found == Relation::kOtherChain) std::printf("accepting loses the anchored history from there on\n");
  if (!claims.anchored.has_value()) std::printf("accepting means that nothing newer is known to exist\n");
}

}  // namespace

Result<int> manage_anchor(const Options& options) {
  CASEMATE_ATTEMPT(require_anchor(options, "anchor"));
  if (options.show && options.set) return Error(ErrorCategory::kUsage, "anchor: either --show or --set");
  return options.set ? set_anchor(options) : show_anchor(options);
}

Result<int> accept_state(const Options& options) {
  CASEMATE_ATTEMPT(require_anchor(options, "accept"));
  if (!options.position.empty()) CASEMATE_TRY(parse_position(options.position));
  const Claims claims = CASEMATE_TRY(claims_of(options));
  const Relation found = relation(claims.anchored, claims.position);
  tell_losses(claims, found);
  if (found == Relation::kSame) {
    std::printf("nothing to accept: %s\n", text_of(found).meaning);
    return 0;
  }
  const std::string state = claims.information.sealed ? "--root-tag " + to_hex(claims.information.root_tag)
                                                      : "--position " + to_text(claims.position);
  if (options.position.empty() && options.root_tag.empty()) {
    std::printf("nothing was changed; to accept this state, repeat with %s\n", state.c_str());
    return cli::kExitNo;
  }
  if (!names_state(options, claims)) {
    return Error(ErrorCategory::kFormat,
                 printable(options.operands.front()) + ": is not in the state that was named; it is in " + state);
  }
  CASEMATE_ATTEMPT(claims.anchor->store(claims.position));
  std::printf("accepted: the anchor remembers this state\n");
  return 0;
}

}  // namespace casemate::volume_tool
