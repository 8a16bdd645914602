# memory.pl PID FILE: which lines of FILE stand anywhere in the memory that the process may write,
# each with how often. Exits 3 where that memory may not be looked at.
use strict;
use warnings;
no warnings 'portable'; # addresses have 64 bits

my ($pid, $file) = @ARGV;
open(my $list, '<', $file) or die "$file: $!";
chomp(my @wanted = <$list>);
open(my $maps, '<', "/proc/$pid/maps") or exit 3;
open(my $memory, '<:raw', "/proc/$pid/mem") or exit 3;
my %found;
while (my $map = <$maps>) {
	my ($from, $to) = $map =~ /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
	($from, $to) = (hex $from, hex $to);
	next if $to - $from > 1 << 30; # a sanitizer's shadow
	sysseek($memory, $from, 0) or next;
	my $bytes = '';
	while ($from + length($bytes) < $to) {
		sysread($memory, $bytes, $to - $from - length($bytes), length($bytes)) or last;
	}
	for my $text (@wanted) {
		$found{$text}++ while $bytes =~ /\Q$text\E/g;
	}
}
print "$found{$_} $_\n" for grep { $found{$_} } @wanted;
