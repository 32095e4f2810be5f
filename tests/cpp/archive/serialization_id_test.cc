#include "archive/serialization_id.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace checkroom::archive {
namespace {

TEST(SerializationId, OfNothingIsZeros) {
  EXPECT_EQ(SerializationId().text(), std::string(40, '0'));
}

TEST(SerializationId, KnowsANameThatIsThere) {
  SerializationId id;
  EXPECT_TRUE(id.add_name("data/0"));
  EXPECT_FALSE(id.add_name("data/0"));
}

TEST(SerializationId, TakesDataThatBeginLikeADescriptorForOne) {
  const std::array<std::byte, 8> like = {std::byte{0x50}, std::byte{0x4b}, std::byte{7},
                                         std::byte{8},    std::byte{5},    std::byte{0},
                                         std::byte{0},    std::byte{0}};
  SerializationId data;
  data.add_data(like);
  SerializationId descriptor;
  descriptor.add_descriptor(5);
  EXPECT_EQ(data.text(), descriptor.text());
  SerializationId shorter;
  shorter.add_data(std::span(like).first(7));
  EXPECT_EQ(shorter.text(), SerializationId().text());
}

}  // namespace
}  // namespace checkroom::archive
