#pragma once

namespace checkroom::plan {}
