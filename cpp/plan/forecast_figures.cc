// Forecast's figures: what is read off the run that was played.

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "plan/forecast.h"

namespace checkroom::plan {

void Forecast::need_end(const char* figure) const {
  if (length().has_end) return;
  throw Error::invalid(std::string(figure) +
                       ": the run has no end that can be counted; ask for bytes_per_epoch or "
                       "epochs_until_full");
}

void Forecast::need_bound(const char* figure) const {
  if (!bounded_) need_end(figure);
}

FileRange Forecast::files() const {
  need_bound("files");
  return timeline_.files(last_.files);
}

ByteRange Forecast::at_rest() const {
  need_bound("at_rest_bytes");
  return timeline_.bytes(last_.files);
}

FileRange Forecast::peak_files() const {
  need_bound("peak_files");
  return timeline_.files(peak_);
}

ByteRange Forecast::peak() const {
  need_bound("peak_bytes");
  return timeline_.bytes(peak_);
}

WrittenRange Forecast::written() const {
  need_end("written_bytes");
  return timeline_.written(last_);
}

Bytes Forecast::logs_at(Bytes per_epoch, std::int64_t steps) const {
  const auto rate_steps =
      spec_.log_steps_per_epoch ? spec_.log_steps_per_epoch : calendar_.steps_per_epoch();
  return rate_steps ? scale(per_epoch, steps, *rate_steps) : Bytes(0);
}

Bytes Forecast::logs(Bytes per_epoch) const {
  const bool by_steps =
      length().steps && (spec_.log_steps_per_epoch || calendar_.steps_per_epoch());
  if (by_steps) return logs_at(per_epoch, *length().steps);
  return length().epochs ? per_epoch * *length().epochs : Bytes(0);
}

Bytes Forecast::tensorboard() const {
  if (!length().steps && !length().epochs) need_end("tensorboard_bytes");
  return logs(spec_.tensorboard_bytes_per_epoch);
}

Bytes Forecast::csv() const {
  if (!length().steps && !length().epochs) need_end("csv_bytes");
  return logs(spec_.csv_bytes_per_epoch);
}

ByteRange Forecast::total() const {
  const ByteRange rest = at_rest();
  const Bytes logged = tensorboard() + csv();
  return {length().may_end_sooner ? rest.least : rest.least + logged, rest.most + logged};
}

Bytes Forecast::fixed() const {
  return spec_.dataset_bytes + spec_.model_files_bytes + spec_.misc_bytes;
}

std::optional<double> Forecast::seconds() const {
  if (!length().steps || !spec_.seconds_per_step) return std::nullopt;
  return *spec_.seconds_per_step * static_cast<double>(*length().steps);
}

std::vector<FilesystemForecast> Forecast::filesystems() const {
  std::vector<FilesystemForecast> all;
  ByteRange written;
  if (length().has_end) written = {this->written().least, this->written().most};
  if (bounded_) all.push_back({"destination", at_rest(), peak(), written});
  if (spec_.writer == Writer::kLightning && spec_.staging == Staging::kOther) {
    const Bytes file = file_bytes(spec_);
    const auto one = [&](std::uint32_t files) { return files > 0 ? file : Bytes(0); };
    all.push_back({"staging", {}, {one(last_.written.least), one(last_.written.most)}, written});
  }
  if (length().steps || length().epochs) {
    const Bytes most = tensorboard() + csv();
    const ByteRange range = {length().may_end_sooner ? Bytes(0) : most, most};
    all.push_back({"logs", range, range, range});
  }
  return all;
}

std::optional<std::vector<std::int64_t>> Forecast::kept_after(std::size_t index) const {
  if (!kept_log_) return std::nullopt;
  KeptLog::Reader reader(*kept_log_);
  timeline_.find([&](const TimelineRow& row, std::size_t i) {
    if (i > index) return true;
    if (row.saved == Saved::kYes) reader.save(static_cast<std::int64_t>(i));
    return false;
  });
  return reader.kept();
}

std::optional<std::vector<std::int64_t>> Forecast::kept() const {
  if (timeline_.size() == 0) {
    return kept_log_ ? std::optional(std::vector<std::int64_t>()) : std::nullopt;
  }
  return kept_after(timeline_.size() - 1);
}

}  // namespace checkroom::plan
