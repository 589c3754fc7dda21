#include "cas/store/rows.h"

#include <algorithm>

namespace casemate::cas::internal {
namespace {

std::size_t top_branch(const RowId& id) { return std::to_integer<std::size_t>(id[0]) / RowTree::kBytesPerBranch; }
std::size_t middle_branch(const RowId& id) { return std::to_integer<std::size_t>(id[1]) >> 2; }

template <typename Rows>
auto place_of(Rows& rows, const RowId& id) {
  return std::lower_bound(rows.begin(), rows.end(), id,
                          [](const RowPointer& row, const RowId& wanted) { return row->id < wanted; });
}

// `node` as this batch may change it.
template <typename Node>
Node& for_change(std::shared_ptr<Node>& node, std::uint64_t batch) {
  if (!node) {
    node = std::make_shared<Node>();
  } else if (node->batch != batch) {
    node = std::make_shared<Node>(*node);
  }
  node->batch = batch;
  return *node;
}

}  // namespace

const Row* RowTree::find(const RowId& id) const {
  if (!top_) return nullptr;
  const auto& middle = top_->middles[top_branch(id)];
  if (!middle) return nullptr;
  const auto& list = middle->lists[middle_branch(id)];
  if (!list) return nullptr;
  const auto at = place_of(list->rows, id);
  return at != list->rows.end() && (*at)->id == id ? at->get() : nullptr;
}

void RowTree::for_each(const std::function<void(const Row&)>& visit) const {
  if (!top_) return;
  for (const auto& middle : top_->middles) {
    if (!middle) continue;
    for (const auto& list : middle->lists) {
      if (!list) continue;
      for (const RowPointer& row : list->rows) visit(*row);
    }
  }
}

RowTree::List& RowTree::list_for_change(const RowId& id, std::uint64_t batch) {
  Middle& middle = for_change(for_change(top_, batch).middles[top_branch(id)], batch);
  return for_change(middle.lists[middle_branch(id)], batch);
}

void RowTree::put(RowPointer row, std::uint64_t batch) {
  List& list = list_for_change(row->id, batch);
  if (list.rows.empty() || list.rows.back()->id < row->id) {  // as when a store is loaded, in the order of ids
    list.rows.push_back(std::move(row));
    ++count_;
    return;
  }
  const auto at = place_of(list.rows, row->id);
  if (at != list.rows.end() && (*at)->id == row->id) {
    *at = std::move(row);
    return;
  }
  list.rows.insert(at, std::move(row));
  ++count_;
}

void RowTree::take_over(RowTree&& other) {
  if (!top_) {
    *this = std::move(other);
    return;
  }
  if (!other.top_) return;
  for (std::size_t branch = 0; branch < kBranches; ++branch) {
    auto& middle = other.top_->middles[branch];
    if (middle) top_->middles[branch] = std::move(middle);
  }
  count_ += other.count_;
}

void RowTree::remove(const RowId& id, std::uint64_t batch) {
  if (find(id) == nullptr) return;
  List& list = list_for_change(id, batch);
  list.rows.erase(place_of(list.rows, id));
  --count_;
}

}  // namespace casemate::cas::internal
