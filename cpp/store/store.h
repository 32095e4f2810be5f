#pragma once

namespace checkroom::store {}
