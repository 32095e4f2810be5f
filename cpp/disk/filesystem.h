#pragma once

namespace checkroom::disk {}
