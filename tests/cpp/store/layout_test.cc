#include "store/layout.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace checkroom::store {
namespace {

TEST(CheckPlainName, TakesTheNamesThatLightningMakes) {
  for (const char* name : {"epoch=1-step=10.ckpt", "last.ckpt", "last-v1.ckpt", "a b.ckpt",
                           ".hidden", "..twodots", "val_loss=0.5.ckpt", "\xff\xfe.ckpt"}) {
    EXPECT_NO_THROW(check_plain_name(name)) << name;
  }
}

TEST(CheckPlainName, RefusesEverythingThatLeadsElsewhere) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view name :
       {""sv, "."sv, ".."sv, "/"sv, "../a"sv, "a/b"sv, "/etc/passwd"sv, "a/"sv, "a\0b"sv,
        ".checkroom"sv, ".checkroom-x"sv, ".checkroom/trash"sv}) {
    try {
      check_plain_name(name);
      ADD_FAILURE() << "'" << name << "' was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
}

TEST(Layout, KeepsTheHouseInsideTheDirectory) {
  const Layout layout{"/runs/vla"};
  EXPECT_EQ(layout.path("a.ckpt"), "/runs/vla/a.ckpt");
  EXPECT_EQ(layout.staging(), "/runs/vla/.checkroom/staging");
  EXPECT_EQ(layout.trash(), "/runs/vla/.checkroom/trash");
  const disk::Destination destination = layout.destination("a.ckpt", false);
  EXPECT_EQ(destination.path(), "/runs/vla/a.ckpt");
  EXPECT_EQ(destination.trash, layout.trash());
  EXPECT_FALSE(destination.durable);
}

}  // namespace
}  // namespace checkroom::store
